//! How MyElectricalData comes by the days of an answer: from its cache, or from Enedis.
//!
//! It bends what it is asked: the end is capped to today, an empty range becomes the day before
//! its end, a long one is cut. A batch is fetched in weeks; a week that Enedis refuses is tried
//! again a day later each time, and what is missing in the end is missing without a word or with a
//! remark beside the data.

use crate::domain::{Api, Dataset, Day, Days, Prm, dataset::Kind, paris};
use crate::simulator::action::Action;
use crate::simulator::answer::{Answer, Label, Point};
use crate::simulator::edge::Asked;
use crate::simulator::front::Front;
use crate::simulator::upstream::{Failure, parameters};

use super::Visit;
use super::account::Left;
use super::memory::recent;
use super::rules::{MedAccount, OverLong};

/// Days of one call to Enedis for a curve.
const WEEK: usize = 7;
/// Starts that a batch tries for a week.
const TRIES: usize = 7;

/// What a user wants.
pub(super) struct Wish<'a> {
    pub(super) account: &'a MedAccount,
    pub(super) dataset: Dataset,
    pub(super) batch: bool,
    pub(super) use_cache: bool,
    pub(super) start: &'a str,
    pub(super) end: &'a str,
    pub(super) prm: Option<Prm>,
}

/// What the user gets.
pub(super) enum Outcome {
    /// Data, and a remark where some is missing.
    Data { answer: Answer, note: Option<String> },
    /// A code and what it means.
    Error { code: String, text: String },
}

fn error(code: &str, text: impl Into<String>) -> Outcome {
    Outcome::Error { code: code.to_owned(), text: text.into() }
}

/// How a failure of Enedis is told.
fn told(failure: &Failure, days: Days, hide: bool) -> Outcome {
    let range = format!("{} to {}", days.first(), days.end());
    match failure {
        Failure::Refused { code, .. } if code == ACTIVATION => {
            let text = format!("The requested period ({range}) cannot be anterior to the meter's last activation date");
            error(ACTIVATION, text)
        }
        Failure::Refused { code, .. }
            if matches!(code.as_str(), "ADAM-DC-0007" | "ADAM-DC-0008" | "STM-ERR-0000019") =>
        {
            error("ACCESS_DENIED", "Accès refusé : PDL introuvable ou consentement Enedis non valide.")
        }
        Failure::Refused { status: 404, .. } => error("NO_DATA", NO_DATA),
        _ if hide => error("NO_DATA", NO_DATA),
        Failure::Refused { status: 502..=504, .. } | Failure::NoToken => {
            error("ENEDIS_UNAVAILABLE", "L'API Enedis est temporairement indisponible.")
        }
        Failure::Refused { status, code, .. } => {
            error("ENEDIS_ERROR", format!("Failed to fetch {range}: {status} {code}"))
        }
        Failure::Broken => error("ENEDIS_ERROR", format!("Failed to fetch {range}: no answer")),
    }
}

const ACTIVATION: &str = "ADAM-ERR0123";
const NO_DATA: &str = "No data available for this period";

fn is_activation(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused { code, .. } if code == ACTIVATION)
}

/// A batch serves what it has; everybody else is refused.
fn over_quota(wish: &Wish<'_>, prm: &Prm, days: Days, points: Vec<Point>, left: Left) -> Outcome {
    if wish.batch && !points.is_empty() {
        let note = "Rate limit exceeded. Returning cached data only.".to_owned();
        return Outcome::Data { answer: whole(prm, wish.dataset, days, points), note: Some(note) };
    }
    let hint = if wish.use_cache { "Try again tomorrow." } else { "Use cache to increase limit." };
    let text = format!("Daily rate limit exceeded ({}/{}). {hint}", left.spent, left.limit.unwrap_or_default());
    error("RATE_LIMIT_EXCEEDED", text)
}

/// Days in runs without a gap, none longer than `longest`.
fn runs(days: &[Day], longest: usize) -> Vec<Days> {
    let follows = |a: &Day, b: &Day| a.next() == *b;
    let whole = days.chunk_by(follows).flat_map(|run| run.chunks(longest.max(1)));
    whole.filter_map(|run| Days::new(*run.first()?, run.last()?.next())).collect()
}

impl Visit<'_> {
    /// Answers a wish; with what is left of the quota, where it was touched.
    pub(super) async fn fetch(&self, wish: &Wish<'_>) -> (Outcome, Option<Left>) {
        let (prm, days) = match self.adjust(wish) {
            Ok(adjusted) => adjusted,
            Err(outcome) => return (outcome, None),
        };
        let rules = &self.world.rules.myelectricaldata;
        let spent = self.simulator.state().med.spend(rules, wish.account, wish.use_cache, self.wall, self.actions);
        let left = match spent {
            Ok(left) | Err(left) => left,
        };
        let (points, missing) = self.remembered(wish, &prm, days);
        let outcome = if spent.is_err() {
            over_quota(wish, &prm, days, points, left)
        } else if wish.batch {
            self.batch(wish, &prm, days, points, &missing).await
        } else {
            self.single(wish, &prm, days, points, &missing).await
        };
        (outcome, Some(left))
    }

    /// The meter and the days that are really served.
    fn adjust(&self, wish: &Wish<'_>) -> Result<(Prm, Days), Outcome> {
        let rules = &self.world.rules.myelectricaldata;
        let format = || error("INVALID_DATE_FORMAT", "Invalid date format. Expected YYYY-MM-DD.");
        let start: Day = wish.start.parse().map_err(|_| format())?;
        let end: Day = wish.end.parse().map_err(|_| format())?;
        let today = paris::today(self.now);
        let mut end = end.min(today);
        let mut start = if start < end { start } else { end.plus(-1) };
        let oldest = rules.history_begins(wish.dataset, today);
        if wish.batch {
            start = start.max(oldest).max(end.plus(-rules.batch_days));
        } else if start < oldest {
            let text = format!("Start date is too old. Oldest allowed date: {oldest}");
            return Err(error("DATE_TOO_OLD", text));
        } else if wish.dataset.kind() == Kind::LoadCurve && end.since(start) > rules.detail_days {
            match rules.over_long {
                OverLong::Clip => end = start.plus(rules.detail_days),
                OverLong::NoData => return Err(error("NO_DATA", NO_DATA)),
            }
        }
        let days = Days::new(start, end)
            .ok_or_else(|| error("INVALID_DATE_RANGE", "Start date must be before or equal to end date"))?;
        let denied = || error("ACCESS_DENIED", "Accès refusé : PDL introuvable ou non associé à votre compte.");
        let prm = wish.prm.clone().filter(|prm| wish.account.owns(prm)).ok_or_else(denied)?;
        Ok((prm, days))
    }

    /// The points of remembered days, and the days that are left to ask for.
    fn remembered(&self, wish: &Wish<'_>, prm: &Prm, days: Days) -> (Vec<Point>, Vec<Day>) {
        if !wish.use_cache {
            return (Vec::new(), days.iter().collect());
        }
        let today = paris::today(self.now);
        let curve = wish.dataset.kind() == Kind::LoadCurve;
        let med = &mut self.simulator.state().med;
        let (mut points, mut missing) = (Vec::new(), Vec::new());
        for day in days.iter() {
            let key = (prm.clone(), wish.dataset, day);
            match med.memory.day(&key, self.now, curve, wish.batch || recent(day, today)) {
                Some(kept) => {
                    points.extend_from_slice(kept);
                    med.counters.days_from_cache += 1;
                }
                None if wish.batch && med.memory.blocks(&key, self.now) => {}
                None => missing.push(day),
            }
        }
        (points, missing)
    }

    /// A plain request: one call to Enedis for each run of missing days.
    async fn single(&self, wish: &Wish<'_>, prm: &Prm, days: Days, mut points: Vec<Point>, missing: &[Day]) -> Outcome {
        let hide = self.world.rules.myelectricaldata.hide_failures && wish.dataset.kind() == Kind::LoadCurve;
        let mut failed = None;
        for run in runs(missing, usize::MAX) {
            match self.ask(wish, prm, run).await {
                Ok(fetched) => points.extend(fetched),
                Err(failure) if is_activation(&failure) => return told(&failure, run, hide),
                Err(failure) => {
                    failed.get_or_insert_with(|| told(&failure, run, hide));
                }
            }
        }
        match failed {
            _ if !points.is_empty() => Outcome::Data { answer: whole(prm, wish.dataset, days, points), note: None },
            Some(outcome) => outcome,
            None => error("NO_DATA", NO_DATA),
        }
    }

    /// A batch: weeks of missing days.
    async fn batch(&self, wish: &Wish<'_>, prm: &Prm, days: Days, mut points: Vec<Point>, missing: &[Day]) -> Outcome {
        let mut gave_up = false;
        for (week, number) in runs(missing, WEEK).into_iter().zip(0..) {
            if self.actions.contains(&Action::LostChunk { chunk: number }) {
                continue;
            }
            let mut found = false;
            for start in week.iter().take(TRIES) {
                let Some(rest) = Days::new(start, week.end()) else { continue };
                match self.ask(wish, prm, rest).await {
                    Ok(fetched) => points.extend(fetched),
                    Err(Failure::Refused { status: 404, .. }) => {
                        self.simulator.state().med.memory.block(prm, wish.dataset, rest, self.now);
                    }
                    Err(_) => continue,
                }
                found = true;
                break;
            }
            gave_up |= !found;
        }
        if points.is_empty() {
            return error("NO_DATA", NO_DATA);
        }
        let note = gave_up.then(|| format!("Some data could not be fetched. Returning {} readings.", points.len()));
        Outcome::Data { answer: whole(prm, wish.dataset, days, points), note }
    }

    /// One call to Enedis, unless it is remembered to be refused.
    async fn ask(&self, wish: &Wish<'_>, prm: &Prm, days: Days) -> Result<Vec<Point>, Failure> {
        let activation = || Failure::Refused { status: 400, code: ACTIVATION.to_owned(), body: String::new() };
        {
            let med = &mut self.simulator.state().med;
            if med.memory.refuses(prm, wish.dataset, days, self.now) {
                return Err(activation());
            }
            med.counters.upstream_calls += 1;
        }
        let api = [Api::V2026, Api::V5].into_iter().find(|api| self.world.rules.apis.contains(api));
        let asked = Asked {
            front: Front::MyElectricalData,
            api: api.unwrap_or(Api::V2026),
            dataset: wish.dataset,
            prm: Some(prm.clone()),
            start: Some(days.first()),
            end: Some(days.end()),
        };
        let (start, end) = (days.first().to_string(), days.end().to_string());
        let query = parameters(asked.api, asked.dataset, [prm.full(), &start, &end], ["P1D", "PMA"]);
        let answer = self.simulator.upstream(&asked, &query).await;
        let med = &mut self.simulator.state().med;
        match answer {
            Ok(answer) => {
                let points: Vec<Point> = answer.points.into_iter().map(relabelled).collect();
                if wish.use_cache {
                    med.memory.keep(prm, wish.dataset, days, &points, (self.now, paris::today(self.now)));
                }
                Ok(points)
            }
            Err(failure) => {
                if is_activation(&failure) {
                    med.memory.refuse(prm, wish.dataset, days, self.now);
                }
                Err(failure)
            }
        }
    }
}

/// A point of a curve with the start of its interval as label: the length is taken from the wall
/// time as it stands, on the days of a clock change too.
fn relabelled(point: Point) -> Point {
    let step = point.length.as_deref().and_then(crate::domain::Step::from_iso);
    match (point.label, step) {
        (Label::Moment(moment), Some(step)) => {
            let minutes = chrono::TimeDelta::minutes(i64::from(step.minutes()));
            Point { label: Label::Moment(moment - minutes), ..point }
        }
        _ => point,
    }
}

/// An answer put together from days of several origins, in the order of its labels.
fn whole(prm: &Prm, dataset: Dataset, days: Days, mut points: Vec<Point>) -> Answer {
    points.sort_by_key(|point| point.label);
    Answer {
        prm: prm.clone(),
        dataset,
        direction: dataset.direction(),
        start: days.first(),
        end: days.end(),
        monthly: false,
        points,
    }
}
