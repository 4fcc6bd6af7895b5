//! What a pass knows: the stored facts of one source, kept up to date as answers come in, and
//! how they look to the planner.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{ActiveMeter, ActiveSource, react};
use crate::domain::coverage::PUBLISHED_AT;
use crate::domain::{Api, Dataset, Day, DayRecord, Days, Direction, SeriesState, paris};
use crate::plan::{Request, Series, Turn, search};
use crate::source::Reaches;
use crate::store::{Activation, Effect, Facts, FailedCall, Learnt, MeterId, SeriesFacts, SourceFacts, Window};

/// Failed calls of one day after which a span, or a series of which nothing succeeds, rests until
/// the next day (docs/planning.md).
pub const FAILURES_A_DAY: usize = 3;

/// Days that are set aside within a pass.
#[derive(Debug, Clone)]
pub struct Aside {
    /// Index of the series.
    pub series: usize,
    /// Which days.
    pub days: Days,
    /// Until when (monotonic); `None`: for the rest of the pass.
    pub until: Option<Duration>,
    /// The code and message of the failure, and what the series is called then.
    pub trouble: (String, String),
}

/// The facts of one source during a pass.
#[derive(Debug)]
pub struct Knowledge {
    /// The series, in the order of the configuration.
    pub series: Vec<SeriesFacts>,
    /// What is learnt about the source.
    pub source: SourceFacts,
    /// What is learnt about activations.
    pub activations: BTreeMap<(MeterId, Direction), Activation>,
    /// Failed calls of today.
    pub failed: Vec<FailedCall>,
    /// Days set aside in this pass.
    pub aside: Vec<Aside>,
    /// Failures in a row of each series, in this pass.
    pub in_a_row: BTreeMap<usize, usize>,
    since: BTreeMap<MeterId, Option<Day>>,
    every: BTreeMap<Dataset, i32>,
}

/// What a pass is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// Indices of the series that take part; `None`: all.
    pub series: Option<BTreeSet<usize>>,
    /// Days, refetching, and who asked.
    pub request: Request,
}

impl Knowledge {
    /// The facts that concern one source.
    #[must_use]
    pub fn new(facts: Facts, source: SourceFacts, meters: &[ActiveMeter], every: BTreeMap<Dataset, i32>) -> Self {
        let series: Vec<SeriesFacts> = facts.series.into_iter().filter(|s| s.source == source.id).collect();
        let since =
            series.iter().map(|s| (s.meter, meters.iter().find(|m| m.prm == s.prm).and_then(|m| m.since))).collect();
        Self {
            series,
            source,
            activations: facts.activations,
            failed: facts.failed,
            aside: Vec::new(),
            in_a_row: BTreeMap::new(),
            since,
            every,
        }
    }

    /// What is known about an activation.
    #[must_use]
    pub fn activation(&self, meter: MeterId, direction: Direction) -> Activation {
        self.activations.get(&(meter, direction)).copied().unwrap_or_default()
    }

    /// What is learnt about a dataset of the source.
    #[must_use]
    pub fn learnt(&self, dataset: Dataset) -> Learnt {
        self.source.learnt.get(&dataset).copied().unwrap_or_default()
    }

    /// The API to speak for a dataset: the one that worked last, unless the preferred one is due
    /// for another look.
    #[must_use]
    pub fn api(&self, source: &ActiveSource, dataset: Dataset, now: i64) -> Option<Api> {
        let preferred = source.source.apis().first().copied();
        match self.learnt(dataset).api {
            Some((api, at)) if source.source.apis().contains(&api) => {
                if now - at < react::API_AGAIN_AFTER {
                    Some(api)
                } else {
                    preferred
                }
            }
            _ => preferred,
        }
    }

    /// The first day that the source serves of a dataset today.
    #[must_use]
    pub fn served_first(&self, source: &ActiveSource, dataset: Dataset, now: DateTime<Utc>) -> Option<Day> {
        let reach = source.source.reach(dataset)?;
        Some(reach.first_day(paris::today(now)).plus(self.learnt(dataset).history_short))
    }

    /// The days of a series that can be asked for.
    #[must_use]
    pub fn window(&self, source: &ActiveSource, series: &SeriesFacts, now: DateTime<Utc>) -> Option<Days> {
        let served = self.served_first(source, series.dataset, now)?;
        let since = self.since.get(&series.meter).copied().flatten();
        let activation = self.activation(series.meter, series.dataset.direction());
        // Days up to a refused one are before the activation, wherever exactly that is.
        let after_refused = activation.refused.map(Day::next);
        let first = [since, after_refused].into_iter().flatten().fold(served, Day::max);
        Days::new(first, published_end(now))
    }

    /// The windows of all series, for the store.
    #[must_use]
    pub fn windows(&self, source: &ActiveSource, now: DateTime<Utc>) -> Vec<Window> {
        self.series
            .iter()
            .filter_map(|s| {
                let served = self.served_first(source, s.dataset, now)?;
                Some(Window { meter: s.meter, dataset: s.dataset, served, days: self.window(source, s, now) })
            })
            .collect()
    }

    /// The series as the planner sees them.
    #[must_use]
    pub fn planned(&self, source: &ActiveSource, chosen: &Chosen, now: DateTime<Utc>) -> Vec<Series<'_>> {
        let epoch = now.timestamp();
        let mut probing = BTreeSet::new();
        let mut all: Vec<Series<'_>> = self
            .series
            .iter()
            .enumerate()
            .map(|(index, facts)| {
                let learnt = self.learnt(facts.dataset);
                let longest = source.source.reach(facts.dataset).map_or(1, |reach| reach.max_days);
                let max_days = match learnt.max_days {
                    Some((days, until)) if until > epoch => days.min(longest),
                    _ => longest,
                };
                let in_choice = chosen.series.as_ref().is_none_or(|c| c.contains(&index));
                let turn = if in_choice { self.turn(index, facts, &mut probing, epoch) } else { Turn::Rest };
                Series {
                    dataset: facts.dataset,
                    window: self.window(source, facts, now),
                    served_first: self.served_first(source, facts.dataset, now).unwrap_or_else(|| paris::today(now)),
                    max_days,
                    every: self.every.get(&facts.dataset).copied().unwrap_or(1),
                    days: &facts.days,
                    turn,
                    aside: self.aside_of(index, facts),
                    probe: None,
                }
            })
            .collect();
        self.search(&mut all, chosen.request, epoch);
        all
    }

    /// Lets one series of each direction search for the activation day, and keeps the others on
    /// the side that is known to be served.
    fn search(&self, all: &mut [Series<'_>], request: Request, now: i64) {
        for ((meter, direction), known) in &self.activations {
            let Some(refused) = known.refused else { continue };
            let members: Vec<usize> = (0..all.len())
                .filter(|i| {
                    self.series.get(*i).is_some_and(|s| s.meter == *meter && s.dataset.direction() == *direction)
                })
                .collect();
            let mut searcher: Option<(i32, usize, Day)> = None;
            for index in &members {
                let Some(series) = all.get(*index) else { continue };
                let Some(window) = series.window else { continue };
                let accepted = known.accepted.unwrap_or(window.end()).min(window.end());
                let refused = refused.max(window.first().plus(-1));
                let Some(start) = search::probe(refused, accepted, known.refusals) else { continue };
                let unknown = Days::new(window.first(), accepted);
                let wanted = unknown.is_some_and(|days| {
                    crate::plan::want::wanted(series, window, now, request).iter().any(|w| days.contains(w.day))
                });
                if series.turn == Turn::Open && wanted && searcher.is_none_or(|(longest, ..)| series.max_days > longest)
                {
                    searcher = Some((series.max_days, *index, start));
                }
            }
            for index in members {
                let Some(series) = all.get_mut(index) else { continue };
                match searcher {
                    Some((_, chosen, start)) if chosen == index => series.probe = Some(start),
                    _ => {
                        let served = series.window.and_then(|window| {
                            let unknown = search::probe(
                                refused.max(window.first().plus(-1)),
                                known.accepted.unwrap_or(window.end()),
                                known.refusals,
                            );
                            let first = if unknown.is_some() { known.accepted? } else { window.first() };
                            Days::new(window.first().max(first), window.end())
                        });
                        // A probe asks for the newest days, whatever is known.
                        if series.turn == Turn::Open {
                            series.window = served;
                        }
                    }
                }
            }
        }
    }

    fn turn(&self, index: usize, facts: &SeriesFacts, probing: &mut BTreeSet<(i64, u8)>, now: i64) -> Turn {
        if self.learnt(facts.dataset).not_before.is_some_and(|at| at > now) {
            return Turn::Rest;
        }
        let rests = facts.not_before.is_some_and(|at| at > now);
        match facts.state {
            SeriesState::Suspended | SeriesState::NotOffered | SeriesState::Failing if rests => Turn::Rest,
            // One call tells whether consent is back; the others wait for its answer.
            SeriesState::Suspended => {
                let scope = match react::reaches(facts.code.as_deref()) {
                    Reaches::Meter => 0,
                    Reaches::Direction => 1 + u8::from(facts.dataset.direction() == Direction::Production),
                };
                if probing.insert((facts.meter.0, scope)) { Turn::Probe } else { Turn::Rest }
            }
            SeriesState::NotOffered => Turn::Probe,
            _ if self.exhausted(index, facts) => Turn::Rest,
            _ => Turn::Open,
        }
    }

    /// Whether a series has failed so often today, or so often in a row in this pass, that it rests.
    fn exhausted(&self, index: usize, facts: &SeriesFacts) -> bool {
        let today = self.failed_of(facts).filter(|f| !f.healed).count();
        today >= FAILURES_A_DAY || self.in_a_row.get(&index).copied().unwrap_or_default() >= FAILURES_A_DAY
    }

    fn failed_of<'a>(&'a self, facts: &'a SeriesFacts) -> impl Iterator<Item = &'a FailedCall> {
        self.failed
            .iter()
            .filter(|f| f.meter == facts.meter && f.dataset == facts.dataset && react::counts_as_failure(&f.code))
    }

    /// The days that are not asked for now because calls for them keep failing.
    fn aside_of(&self, index: usize, facts: &SeriesFacts) -> Vec<Days> {
        let here = self.aside.iter().filter(|a| a.series == index).map(|a| a.days);
        let often = self.failed_of(facts).filter(|f| {
            let overlapping = |other: &&FailedCall| other.days.intersect(f.days).is_some();
            react::is_bug(&f.code) || self.failed_of(facts).filter(overlapping).count() >= FAILURES_A_DAY
        });
        here.chain(often.map(|f| f.days)).collect()
    }

    /// Takes over what a call taught.
    pub fn learn(&mut self, effect: &Effect) {
        match effect {
            Effect::Series { meter, dataset, state, code, not_before, .. } => {
                if let Some(series) = self.series.iter_mut().find(|s| s.meter == *meter && s.dataset == *dataset) {
                    series.state = *state;
                    series.code.clone_from(code);
                    series.not_before = *not_before;
                }
            }
            Effect::Activation { meter, direction, known } => {
                self.activations.insert((*meter, *direction), *known);
            }
            Effect::Learnt { dataset, known, .. } => {
                self.source.learnt.insert(*dataset, *known);
            }
            Effect::Source { not_before_ms, code, slow_until_ms, .. } => {
                self.source.not_before_ms = *not_before_ms;
                self.source.code.clone_from(code);
                self.source.slow_until_ms = *slow_until_ms;
            }
        }
    }

    /// Takes over the records of days and that the series is well.
    pub fn answered(&mut self, index: usize, days: &[(Day, DayRecord)], at: i64) {
        self.in_a_row.remove(&index);
        let Some(series) = self.series.get_mut(index) else { return };
        series.state = SeriesState::Ok;
        series.code = None;
        series.not_before = None;
        series.last_success_at = Some(at);
        series.days.extend(days.iter().copied());
        let (meter, dataset) = (series.meter, series.dataset);
        for failed in self.failed.iter_mut().filter(|f| f.meter == meter && f.dataset == dataset) {
            failed.healed = true;
        }
        self.aside.retain(|a| a.series != index || days.iter().all(|(day, _)| !a.days.contains(*day)));
    }
}

/// The first day that is not published yet: today, or yesterday before eight in the morning.
#[must_use]
pub fn published_end(now: DateTime<Utc>) -> Day {
    let today = paris::today(now);
    if now.timestamp() < paris::at_wall(today, PUBLISHED_AT) { today.plus(-1) } else { today }
}
