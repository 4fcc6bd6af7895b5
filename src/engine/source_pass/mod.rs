//! The part of a pass that concerns one source: one loop that looks, decides, sends and lands.
//!
//! [`dispatch`] says which call may leave and when, [`canary`] spares a fleet a morning on which
//! nothing is published yet, [`token`] keeps the access token, [`landing`]
//! turns what comes back into rows, [`refusal`] into what is learnt from a refusal, [`sharing`]
//! minds other instances, [`consents`] asks after consents, and [`closing`] sums up.

mod canary;
mod closing;
mod consents;
mod dispatch;
mod errands;
mod landing;
mod refusal;
mod sharing;
mod token;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::knowledge::{Chosen, Knowledge, published_end};
use super::pass::{Observer, Progress};
use super::report::Interruption;
use super::{ActiveSource, Engine, Report};
use crate::client::{Pace, TransportError};
use crate::domain::{Api, Dataset, Day, Prm, Span, paris};
use crate::plan::{self, Allowance, Call};
use crate::source::{Ask, Pool, Response};
use crate::store::{Authorisation, CallId, MeterId, SourceId, StoreError};

use canary::Canaries;
use errands::Errands;
use token::Tokens;

/// Calls in the air at once, at the most: rate times the slowest latency that is worth serving.
const MOST_FLIGHTS: usize = 12;

/// A pause shorter than this is waited out within the pass.
const SHORT_PAUSE_MS: i64 = 120_000;

/// What the parts of a pass share: how far all of them are together.
pub(super) struct Shared<'a> {
    observer: Observer<'a>,
    parts: Mutex<BTreeMap<SourceId, Progress>>,
}

impl<'a> Shared<'a> {
    /// Nothing done yet.
    #[must_use]
    pub(super) fn new(observer: Observer<'a>) -> Self {
        Self { observer, parts: Mutex::new(BTreeMap::new()) }
    }

    fn tell(&self, source: SourceId, progress: Progress) {
        let mut parts = self.parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        parts.insert(source, progress);
        let sum = parts.values().fold(Progress::default(), |sum, p| Progress {
            done: sum.done + p.done,
            left: sum.left + p.left,
            rows: sum.rows + p.rows,
        });
        (self.observer)(sum);
    }
}

/// A call on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    call: Call,
    /// What it asks for, as it was when it left: midnight may pass while it is in the air.
    span: Span,
    line: CallId,
    /// The lease of its series, where it took one.
    lease: Option<CallId>,
    api: Api,
    meter: MeterId,
    dataset: Dataset,
    /// Which token it carries.
    token: u64,
    /// When it left (monotonic).
    left: Duration,
    /// When it was asked (calendar).
    asked_at: i64,
    /// The newest published day when it left.
    newest: Day,
}

impl Flight {
    /// What it asked for, of that meter.
    fn ask<'p>(&self, prm: &'p Prm) -> Ask<'p> {
        Ask { prm, span: self.span, api: self.api, newest: self.newest }
    }
}

struct Landed {
    flight: Flight,
    result: Result<Response, TransportError>,
    duration: Duration,
}

type Flights<'f> = FuturesUnordered<Pin<Box<dyn Future<Output = Landed> + Send + 'f>>>;

enum Step {
    Send(Call),
    /// Something about a customer, by its place.
    Errand(usize),
    WaitUntil(Duration),
    WaitForLanding,
    Done,
}

/// A counter of the source that is used up for now.
struct UsedUp {
    pool: Pool,
    /// Whether only calls for history are held back, so that the newest days can still be asked for.
    history: bool,
    until_ms: i64,
    message: String,
}

/// The dates on which a plan depends: windows move on at midnight, the newest day comes in the morning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dates {
    today: Day,
    published: Day,
}

impl Dates {
    fn at(now: DateTime<Utc>) -> Self {
        Self { today: paris::today(now), published: published_end(now) }
    }
}

/// A call by what it asks for.
type Key = (usize, Day, Day);

/// The run of one source's calls.
pub(super) struct SourcePass<'a> {
    engine: &'a Engine,
    active: &'a ActiveSource,
    knowledge: Knowledge,
    chosen: Chosen,
    shared: &'a Shared<'a>,
    /// Calls that other sources of the account have left for later.
    ahead: usize,
    /// When the pass began: by the machine's wall clock and by its monotonic one.
    began: (DateTime<Utc>, Duration),
    queue: VecDeque<Call>,
    errands: Errands,
    /// What was left of the budget when the queue was planned, and the calls that had landed by then.
    allowance: Option<(Allowance, u64)>,
    stale: bool,
    /// Series of which more is known than this pass knows.
    outdated: BTreeSet<usize>,
    /// When to look at what other instances hold, where nothing else is to be done (monotonic).
    looks_at: Option<Duration>,
    /// The dates for which the queue was planned.
    planned_for: Option<Dates>,
    in_air: Vec<Flight>,
    tokens: Tokens,
    /// Series of which a call was refused with fresh tokens, while nobody was let in.
    turned_away: BTreeSet<usize>,
    /// How often each call left or could not be placed, so that no plan repeats itself for ever.
    asked: BTreeMap<Key, u32>,
    answered: BTreeSet<Key>,
    tries: BTreeMap<Key, usize>,
    /// Series that got an answer in this pass.
    succeeded: BTreeSet<usize>,
    /// Meters of the failures in a row of the whole source.
    faults: Vec<MeterId>,
    fallen_back: BTreeSet<Dataset>,
    bursts: u32,
    /// Pauses asked for without an answer in between.
    pauses: u32,
    /// Complaints about calls that left before this instant (monotonic) are part of an older event.
    pause_began: Duration,
    pace: Pace,
    next_slot: Duration,
    /// How much later than their lines say calls left lately, at the most.
    lateness: Duration,
    /// What it took lately to write the line of a call, at the most.
    took: Duration,
    /// Counters that are used up: which, whether for history alone, until when (machine, ms), and
    /// what the operator reads.
    used_up: Vec<UsedUp>,
    /// What is known of the newest day.
    canaries: Canaries,
    /// Whether calls may be made although the source rests.
    despite_rest: bool,
    first_call: bool,
    troubles: BTreeMap<usize, (String, String)>,
    /// What is known of the consents for the source's meters.
    consents: BTreeMap<Prm, Authorisation>,
    interruption: Option<Interruption>,
    /// Asks to make no more calls.
    stop: CancellationToken,
    report: Report,
}

impl<'a> SourcePass<'a> {
    /// A run that has not begun, of a source whose account has left so many calls of others for later.
    #[must_use]
    pub(super) fn new(
        engine: &'a Engine,
        active: &'a ActiveSource,
        knowledge: Knowledge,
        chosen: Chosen,
        (shared, ahead): (&'a Shared<'a>, usize),
    ) -> Self {
        Self {
            engine,
            active,
            knowledge,
            chosen,
            shared,
            ahead,
            began: (engine.clock.now(), engine.clock.monotonic()),
            queue: VecDeque::new(),
            errands: Errands::default(),
            allowance: None,
            stale: true,
            outdated: BTreeSet::new(),
            looks_at: None,
            planned_for: None,
            in_air: Vec::new(),
            tokens: Tokens::default(),
            turned_away: BTreeSet::new(),
            asked: BTreeMap::new(),
            answered: BTreeSet::new(),
            tries: BTreeMap::new(),
            succeeded: BTreeSet::new(),
            faults: Vec::new(),
            fallen_back: BTreeSet::new(),
            bursts: 0,
            pauses: 0,
            pause_began: Duration::ZERO,
            pace: Pace::default(),
            next_slot: Duration::ZERO,
            lateness: Duration::ZERO,
            took: Duration::ZERO,
            used_up: Vec::new(),
            canaries: Canaries::default(),
            despite_rest: false,
            first_call: true,
            troubles: BTreeMap::new(),
            consents: BTreeMap::new(),
            interruption: None,
            stop: CancellationToken::new(),
            report: Report::default(),
        }
    }

    /// Runs until nothing is wanted, the source or the budget says later, or `stop` is set.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<Report, StoreError> {
        let engine = self.engine;
        let active = self.active;
        self.stop = stop.clone();
        let mut flights: Flights<'_> = FuturesUnordered::new();
        let mut arrived = VecDeque::new();
        self.read_consents().await?;
        self.plan_errands();
        loop {
            while let Some(landed) = arrived.pop_front() {
                self.land(landed).await?;
            }
            if stop.is_cancelled() {
                self.report.stopped = true;
                break;
            }
            let until = match self.step().await? {
                Step::Done => break,
                Step::Errand(index) => {
                    alongside(&mut flights, &mut arrived, self.run_errand(index)).await?;
                    continue;
                }
                Step::Send(call) => {
                    let prepared = alongside(&mut flights, &mut arrived, self.prepare(call)).await?;
                    let Some((flight, start)) = prepared else { continue };
                    alongside(&mut flights, &mut arrived, engine.clock.sleep_until(start)).await;
                    let Some((flight, prm)) = self.take_off(flight, start).await? else { continue };
                    let token = self.tokens.in_hand();
                    flights.push(Box::pin(async move {
                        let request = active.source.request(flight.ask(&prm), token.as_ref());
                        let result = active.transport.send(&request).await;
                        let duration = engine.clock.monotonic().saturating_sub(flight.left);
                        Landed { flight, result, duration }
                    }));
                    // It leaves now, not when this loop next has time to wait.
                    arrived.extend(flights.next().now_or_never().flatten());
                    continue;
                }
                Step::WaitUntil(until) => Some(until),
                Step::WaitForLanding => None,
            };
            let landed = tokio::select! {
                biased;
                Some(landed) = flights.next() => Some(landed),
                () = engine.clock.sleep_until(until.unwrap_or_default()), if until.is_some() => None,
                () = stop.cancelled() => None,
            };
            if let Some(landed) = landed {
                self.land(landed).await?;
            }
        }
        self.check_consents().await?;
        self.finish().await
    }

    /// What to do next.
    async fn step(&mut self) -> Result<Step, StoreError> {
        let now = self.engine.clock.monotonic();
        self.knowledge.release(now);
        self.catch_up(now).await?;
        // What is asked about a customer changes no plan: there is no need to look again after each of them.
        let exhausted = self.queue.is_empty()
            && self.canaries.held() == 0
            && self.in_air.is_empty()
            && self.next_errand(None).is_none();
        if self.stale || exhausted || self.planned_for != Some(Dates::at(self.engine.calendar.now())) {
            self.plan_all().await?;
        } else if self.knowledge.is_touched() {
            self.replan().await?;
        }
        self.tell();
        if self.interruption.is_some() {
            return Ok(if self.in_air.is_empty() { Step::Done } else { Step::WaitForLanding });
        }
        if let Some(pause_ms) = self.knowledge.source.state.not_before_ms
            && (!self.queue.is_empty() || self.canaries.are_open() || !self.errands.is_empty())
        {
            let wait = pause_ms - self.machine_ms();
            if wait > SHORT_PAUSE_MS {
                self.interrupt_for_pause(pause_ms).await?;
                return Ok(Step::WaitUntil(now));
            }
            if wait > 0 {
                return Ok(Step::WaitUntil(now + Duration::from_millis(wait.unsigned_abs())));
            }
        }
        if self.in_air.len() >= MOST_FLIGHTS {
            return Ok(Step::WaitForLanding);
        }
        self.choose_canaries();
        let index = self.queue.iter().position(|call| self.may_fly(*call));
        if let Some(errand) = self.next_errand(index.and_then(|index| self.queue.get(index)).copied()) {
            return Ok(Step::Errand(errand));
        }
        let Some(index) = index else {
            if !self.in_air.is_empty() {
                return Ok(Step::WaitForLanding);
            }
            let later = self.knowledge.aside.iter().filter_map(|a| a.until).min();
            if later.is_none() && self.ends_for_budget() {
                return Ok(Step::WaitUntil(now));
            }
            let later = later.into_iter().chain(self.looks_next(now)).min();
            return Ok(later.map_or(Step::Done, Step::WaitUntil));
        };
        if self.next_slot > now {
            return Ok(Step::WaitUntil(self.next_slot));
        }
        Ok(self.queue.remove(index).map_or(Step::Done, Step::Send))
    }

    /// Plans everything.
    async fn plan(&mut self) -> Result<(), StoreError> {
        let now = self.engine.calendar.now();
        let allowance = self.engine.allowance(self.active, self.knowledge.daily).await?;
        self.knowledge.take_touched();
        let mut calls = self.knowledge.calls(self.active, &self.chosen, now);
        calls.retain(|call| self.is_open(*call));
        let calls = plan::order::order(calls, Some(allowance));
        self.allowance = Some((allowance, self.report.calls));
        if self.planned_for.is_none() && self.chosen.series.is_none() {
            let demand = self.knowledge.demand(&calls);
            self.knowledge.forecast(self.active, &demand, self.ahead, allowance).warn(self.active.source.name());
        }
        self.queue = calls.into();
        self.stale = false;
        let dates = Dates::at(now);
        if self.planned_for.is_some_and(|before| before.published != dates.published) {
            self.canaries.forget_newest();
        }
        self.planned_for = Some(dates);
        Ok(())
    }

    /// The same, with what waits for others held back.
    async fn plan_all(&mut self) -> Result<(), StoreError> {
        self.plan().await?;
        let calls = std::mem::take(&mut self.queue).into();
        self.queue = self.hold_back_anew(calls).into();
        Ok(())
    }

    /// Plans the meters anew of which something was learnt, where that concerns no others: of thousands
    /// of meters, all others keep their places.
    async fn replan(&mut self) -> Result<(), StoreError> {
        let touched = self.knowledge.take_touched();
        let now = self.engine.calendar.now();
        let alone = if touched.all {
            None
        } else {
            self.knowledge.calls_again(self.active, &self.chosen, now, &touched.series)
        };
        let Some((mut calls, series)) = alone else {
            return self.plan_all().await;
        };
        for index in &series {
            self.canaries.let_go(*index);
        }
        calls.retain(|call| self.is_open(*call));
        let calls = self.hold_back(calls);
        let left = self.allowance.map(|(allowance, calls)| {
            let since = usize::try_from(self.report.calls - calls).unwrap_or_default() + self.in_air.len();
            Allowance { today: allowance.today.saturating_sub(since), ..allowance }
        });
        plan::order::renew(&mut self.queue, calls, &series, left);
        Ok(())
    }

    /// Whether a call is neither answered nor under way.
    fn is_open(&self, call: Call) -> bool {
        let flies = |f: &Flight| f.call.series == call.series && f.call.days.intersect(call.days).is_some();
        !self.answered.contains(&key(call)) && !self.in_air.iter().any(flies)
    }

    fn tell(&self) {
        let progress = Progress {
            done: self.report.calls,
            left: u64::try_from(self.queue.len() + self.canaries.held() + self.in_air.len()).unwrap_or_default(),
            rows: self.report.inserted,
        };
        self.shared.tell(self.knowledge.source.id, progress);
    }

    /// The machine's wall time as if nobody had set the clock since the pass began: budgets and
    /// pauses must not jump.
    fn machine(&self) -> DateTime<Utc> {
        let since = self.engine.clock.monotonic().saturating_sub(self.began.1);
        self.began.0 + TimeDelta::from_std(since).unwrap_or_default()
    }

    fn machine_ms(&self) -> i64 {
        self.machine().timestamp_millis()
    }

    /// Whether the source is left alone just now.
    fn source_rests(&self) -> bool {
        self.knowledge.source.state.not_before_ms.is_some_and(|until| until > self.machine_ms())
    }

    fn prm_of(&self, call: Call) -> Option<Prm> {
        self.knowledge.series.get(call.series).map(|s| s.prm.clone())
    }
}

/// Does something while what is in the air goes on; what lands meanwhile is kept for later.
async fn alongside<T>(flights: &mut Flights<'_>, arrived: &mut VecDeque<Landed>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            Some(landed) = flights.next() => arrived.push_back(landed),
            done = &mut work => return done,
        }
    }
}

fn key(call: Call) -> Key {
    (call.series, call.days.first(), call.days.end())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
