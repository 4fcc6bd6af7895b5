//! The one call that each source is asked for.
//!
//! Its line is in the journal before it is made, so it counts like any other; where the budget is
//! used up or the source pauses, there is none. What it teaches about a pause is kept.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Finding, Verdict, consent};
use crate::budget::{Exhausted, Keep};
use crate::cli::Trouble;
use crate::cli::render::number;
use crate::cli::sources::PauseView;
use crate::config::MeterConfig;
use crate::domain::{Api, Dataset, Day, Days, Kind, Prm, Span};
use crate::engine::consents::pause;
use crate::engine::knowledge::published_end;
use crate::engine::{ActiveSource, Engine, keep, react};
use crate::exit::Exit;
use crate::source::{Ask, Grant, Pool, Reaction, Refusal, Reply, Request, Response, catalogue};
use crate::store::{CallEnd, NewCall, Reserved, StoreError};

/// Days of the call for data, where nothing cheaper shows whether a source answers.
const DAYS: i32 = 2;

/// The time as a source gave it in an answer.
#[derive(Debug, Clone)]
pub(super) struct Dated {
    /// Whose time.
    pub(super) source: String,
    /// What it said.
    said: DateTime<Utc>,
    /// This machine's time when the answer came.
    ours: DateTime<Utc>,
}

impl Dated {
    /// The time in the `Date` header of an answer that came at `ours`.
    fn of(source: &str, response: &Response, ours: DateTime<Utc>) -> Option<Self> {
        let said = DateTime::parse_from_rfc2822(response.header("date")?).ok()?.with_timezone(&Utc);
        Some(Self { source: source.to_owned(), said, ours })
    }

    #[cfg(test)]
    pub(super) fn at(source: &str, said: DateTime<Utc>, ours: DateTime<Utc>) -> Self {
        Self { source: source.to_owned(), said, ours }
    }

    /// How far this machine's clock is behind; less than nothing where it is ahead.
    pub(super) fn behind(&self) -> TimeDelta {
        self.said - self.ours
    }
}

/// What a call brought.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What was found out.
    pub(super) findings: Vec<Finding>,
    /// What time the source says it is.
    pub(super) dated: Option<Dated>,
}

/// The cheapest question that a source answers.
enum Question {
    /// Whether it takes the credentials.
    Check(Request),
    /// A token.
    Token(Request),
    /// Data of a few days.
    Data { prm: Prm, span: Span, api: Api, newest: Day },
}

/// Asks sources through the journal.
pub(super) struct Caller {
    engine: Engine,
}

impl Caller {
    /// Asks with the store and the clock of this engine.
    pub(super) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// Asks a source; `meters` are those that it serves.
    pub(super) async fn ask(&self, active: &ActiveSource, meters: &[&MeterConfig]) -> Asked {
        let name = active.source.name();
        let asked = match self.question(active, meters) {
            Some(question) => self.put(active, question, meters).await,
            None => Ok(told(Finding::new("source", Verdict::Well, "not asked: it has no meter to ask for"))),
        };
        let mut asked = asked.unwrap_or_else(|error| {
            let trouble = Trouble::from(error);
            told(Finding::new("database", Verdict::from(&trouble), trouble.message))
        });
        for finding in &mut asked.findings {
            finding.subject = Some(name.to_owned());
        }
        asked
    }

    fn question(&self, active: &ActiveSource, meters: &[&MeterConfig]) -> Option<Question> {
        if let Some(request) = active.source.check_request() {
            return Some(Question::Check(request));
        }
        if let Some(request) = active.source.token_request() {
            return Some(Question::Token(request));
        }
        let named = active.source.grant().prms;
        let meter = meters.iter().find(|meter| named.as_ref().is_none_or(|prms| prms.contains(&meter.prm)))?;
        let dataset = cheapest(active, &meter.datasets)?;
        let end = published_end(self.engine.calendar.now());
        let served = Days::new(end.plus(-DAYS), end)?;
        Some(Question::Data {
            prm: meter.prm.clone(),
            span: Span::new(dataset, served, DAYS, served)?,
            api: active.source.apis(dataset).first().copied()?,
            newest: end.plus(-1),
        })
    }

    /// What a question leaves of the day's budget: looking costs no newest day.
    fn keep(&self, active: &ActiveSource, pool: Pool) -> Option<Keep> {
        let per_day = active.limits_of(pool).per_day.filter(|_| pool == Pool::Live)?;
        let own = self.engine.meters.iter().filter(|m| m.sources.iter().any(|name| name == active.source.name()));
        let daily = u32::try_from(own.map(|m| m.datasets.len()).sum::<usize>()).unwrap_or(u32::MAX);
        Some(keep(per_day, daily, self.engine.clock.now()))
    }

    async fn put(
        &self,
        active: &ActiveSource,
        question: Question,
        meters: &[&MeterConfig],
    ) -> Result<Asked, StoreError> {
        let facts = self.engine.source_facts(active.source.name()).await?;
        if let Some(pause) = PauseView::of(active.source.name(), &facts.state, self.engine.clock.now()) {
            let message = format!("not asked, it {}", pause.sentence(active.source.name()));
            return Ok(told(Finding::new("source", Verdict::Problem(Exit::TryLater), message)));
        }
        let request = match &question {
            Question::Check(request) | Question::Token(request) => request.clone(),
            Question::Data { prm, span, api, newest } => {
                active.source.request(Ask { prm, span: *span, api: *api, newest: *newest }, None)
            }
        };
        let pool = match &question {
            Question::Data { prm, span, api, newest } => {
                active.source.pool(&Ask { prm, span: *span, api: *api, newest: *newest })
            }
            Question::Check(_) | Question::Token(_) => Pool::Live,
        };
        let api = if let Question::Data { api, .. } = &question { Some(*api) } else { None };
        let new = NewCall {
            source: facts.id,
            api,
            pool,
            asks: None,
            keep: self.keep(active, pool),
            seen: None,
            lease: None,
            lead_ms: 0,
            despite_rest: false,
            asked_at: self.engine.calendar.now().timestamp(),
        };
        // Both clocks are read before the line is written: what that takes is no part of the wait.
        let (now_ms, here) = (self.engine.clock.now().timestamp_millis(), self.engine.clock.monotonic());
        let call = match self.engine.store.reserve(&new, &active.limits_of(pool), now_ms).await? {
            Reserved::Go { call, at_ms, .. } => {
                let wait = u64::try_from(at_ms - now_ms).unwrap_or_default();
                self.engine.clock.sleep_until(here + Duration::from_millis(wait)).await;
                call
            }
            Reserved::Wait(verdict) => return Ok(told(used_up(verdict))),
            Reserved::Rests(until) => {
                let until = DateTime::from_timestamp_millis(until).map(number::wall).unwrap_or_default();
                let message = format!("not asked, it pauses until {until} (Paris)");
                return Ok(told(Finding::new("source", Verdict::Problem(Exit::TryLater), message)));
            }
            // Its calls take no lease, and so meet none; but nobody is harmed by being careful.
            Reserved::Taken(_) | Reserved::Changed => {
                let message = "not asked, another linkyd is at work".to_owned();
                return Ok(told(Finding::new("source", Verdict::Problem(Exit::TryLater), message)));
            }
        };
        let began = self.engine.clock.monotonic();
        let result = active.transport.send(&request).await;
        let took = self.engine.clock.monotonic().saturating_sub(began);
        let now = self.engine.clock.now();
        let read = match &result {
            Ok(response) => read(active, &question, response, now),
            Err(error) => Err(catalogue::own(error.trouble(), None, "")),
        };
        let end = CallEnd {
            call,
            lease: None,
            status: result.as_ref().ok().map(|response| response.status),
            code: read.as_ref().err().map(|refusal| refusal.code.clone()),
            duration_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
        };
        let mut effects = Vec::new();
        if let Err(refusal) = &read {
            effects.extend(pause(&facts, refusal, now));
        }
        self.engine.store.settle(end, effects).await?;
        let dated = result.ok().and_then(|response| Dated::of(active.source.name(), &response, now));
        let findings = match read {
            Ok(grant) => {
                let mut findings = vec![answered(&question, took)];
                let known = active.source.grant();
                // What the credentials say by themselves was told already.
                let news = Grant {
                    prms: grant.prms.filter(|_| known.prms.is_none()),
                    until: grant.until.filter(|_| known.until.is_none()),
                };
                findings.extend(consent::of_grant(active.source.name(), &news, meters, now));
                findings
            }
            Err(refusal) => vec![refused(&refusal, took)],
        };
        Ok(Asked { findings, dated })
    }
}

/// Nothing but a finding.
fn told(finding: Finding) -> Asked {
    Asked { findings: vec![finding], dated: None }
}

/// The dataset whose answer is the smallest: of daily values rather than a curve.
fn cheapest(active: &ActiveSource, datasets: &[Dataset]) -> Option<Dataset> {
    let offered = |dataset: &&Dataset| active.source.reach(**dataset).is_some();
    let is_small = |dataset: &&Dataset| matches!(dataset.kind(), Kind::DailyEnergy | Kind::MaxPower);
    let daily = datasets.iter().filter(offered).find(is_small);
    daily.or_else(|| datasets.iter().find(offered)).copied()
}

fn read(active: &ActiveSource, question: &Question, response: &Response, now: DateTime<Utc>) -> Result<Grant, Refusal> {
    match question {
        Question::Check(_) => active.source.read_check(response, now),
        Question::Token(_) => active.source.read_token(response, now).map(|_| Grant::default()),
        Question::Data { prm, span, api, newest } => {
            let ask = Ask { prm, span: *span, api: *api, newest: *newest };
            match active.source.read(ask, response, now) {
                Reply::Refused(refusal) if !shows_access(refusal.reaction) => Err(refusal),
                Reply::Body(_) | Reply::Refused(_) => Ok(Grant::default()),
            }
        }
    }
}

/// Whether a refusal comes from behind the door: the credentials were taken.
fn shows_access(reaction: Reaction) -> bool {
    matches!(
        reaction,
        Reaction::NoData
            | Reaction::Narrow
            | Reaction::ClampHistory
            | Reaction::ClampActivation
            | Reaction::StopDataset
    )
}

fn answered(question: &Question, took: Duration) -> Finding {
    let what = match question {
        Question::Check(_) => "answers and takes the credentials",
        Question::Token(_) => "answers and gives a token",
        Question::Data { .. } => "answers and takes the token",
    };
    Finding::new("source", Verdict::Well, format!("{what} ({})", number::duration(took)))
}

fn refused(refusal: &Refusal, took: Duration) -> Finding {
    let exit = match refusal.reaction {
        Reaction::Reauth | Reaction::StopApp { .. } => Exit::CredentialsRefused,
        Reaction::RetryShort | Reaction::RetryLater | Reaction::RetryAt(_) | Reaction::Burst => Exit::TryLater,
        _ => Exit::Failed,
    };
    let message = format!("{} [{}, {}]", react::message(refusal), refusal.code, number::duration(took));
    Finding::new("source", Verdict::Problem(exit), message)
}

fn used_up(verdict: crate::budget::Verdict) -> Finding {
    let message = match verdict {
        crate::budget::Verdict::Wait { until, limit } => {
            let which = match limit {
                Exhausted::Hour => "hour",
                Exhausted::Day | Exhausted::Kept | Exhausted::Told => "day",
            };
            let until = DateTime::from_timestamp_millis(until).map(number::wall).unwrap_or_default();
            format!("not asked: the calls of the {which} are used up until {until} (Paris)")
        }
        crate::budget::Verdict::Go { .. } => "not asked: no call was to be had".to_owned(),
    };
    Finding::new("source", Verdict::Problem(Exit::TryLater), message)
}
