//! The part of a pass that concerns one source.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::knowledge::{Aside, Chosen, Knowledge};
use super::pass::{Observer, Progress};
use super::react::{self, Circumstances, Next};
use super::report::{DatasetReport, Interruption, MeterReport};
use super::{ActiveSource, Engine, Report};
use crate::budget::{Limits, Verdict};
use crate::client::{Pace, TransportError};
use crate::decode::{self, Expected};
use crate::domain::{Api, Dataset, Day, Days, SeriesState, Span, Values, paris};
use crate::plan::{self, Call};
use crate::source::catalogue::{self, Own};
use crate::source::{Ask, Reaction, Refusal, Reply, Response, Token};
use crate::store::{
    Activation, Answer, CallEnd, CallId, Effect, FailedCall, MeterId, NewCall, Reserved, SourceId, StoreError,
};

/// Calls in the air at once, at the most: rate times the slowest latency that is worth serving.
const MOST_FLIGHTS: usize = 12;

/// A pause shorter than this is waited out within the pass.
const SHORT_PAUSE_MS: i64 = 120_000;

/// The line of a call is written this much ahead of its start, so that writing does not delay it.
const WRITE_AHEAD: Duration = Duration::from_millis(12);

/// The first call of a process waits this much longer when another process called just before.
const SETTLE_IN: Duration = Duration::from_millis(250);

/// Refused token calls within [`TOKEN_REST_MS`] after which no more are made.
const MOST_TOKEN_REFUSALS: i64 = 5;
const TOKEN_REST_MS: i64 = 6 * 3_600_000;

/// Spans longer than this are flown one at a time while the activation day is unknown.
const SHORT_SPAN: i32 = 31;

/// Short spans that may fly at once beyond what is known to be after the activation.
const MOST_UNPROVEN: usize = 4;

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
    line: CallId,
    api: Api,
    meter: MeterId,
    dataset: Dataset,
    /// Which token it carries.
    token: u64,
    /// When it left (monotonic).
    left: Duration,
    /// When it was asked (calendar).
    asked_at: i64,
}

struct Landed {
    flight: Flight,
    result: Result<Response, TransportError>,
    duration: Duration,
}

type Flights<'f> = FuturesUnordered<Pin<Box<dyn Future<Output = Landed> + Send + 'f>>>;

enum Step {
    Send(Call),
    WaitUntil(Duration),
    WaitForLanding,
    Done,
}

/// The run of one source's calls.
pub(super) struct SourcePass<'a> {
    engine: &'a Engine,
    active: &'a ActiveSource,
    knowledge: Knowledge,
    chosen: Chosen,
    shared: &'a Shared<'a>,
    queue: VecDeque<Call>,
    stale: bool,
    /// The day for which the queue was planned.
    planned_for: Option<Day>,
    in_air: Vec<Flight>,
    token: Option<(Token, Duration)>,
    token_number: u64,
    reauthorised: BTreeSet<(usize, Day, Day)>,
    answered: BTreeSet<(usize, Day, Day)>,
    tries: BTreeMap<(usize, Day, Day), usize>,
    fallen_back: BTreeSet<Dataset>,
    bursts: u32,
    /// Complaints about calls that left before this instant (monotonic) are part of an older event.
    pause_began: Duration,
    pace: Pace,
    next_slot: Duration,
    first_call: bool,
    reached: bool,
    troubles: BTreeMap<usize, (String, String)>,
    interruption: Option<Interruption>,
    report: Report,
}

impl<'a> SourcePass<'a> {
    /// A run that has not begun.
    #[must_use]
    pub(super) fn new(
        engine: &'a Engine,
        active: &'a ActiveSource,
        knowledge: Knowledge,
        chosen: Chosen,
        shared: &'a Shared<'a>,
    ) -> Self {
        Self {
            engine,
            active,
            knowledge,
            chosen,
            shared,
            queue: VecDeque::new(),
            stale: true,
            planned_for: None,
            in_air: Vec::new(),
            token: None,
            token_number: 0,
            reauthorised: BTreeSet::new(),
            answered: BTreeSet::new(),
            tries: BTreeMap::new(),
            fallen_back: BTreeSet::new(),
            bursts: 0,
            pause_began: Duration::ZERO,
            pace: Pace::default(),
            next_slot: Duration::ZERO,
            first_call: true,
            reached: false,
            troubles: BTreeMap::new(),
            interruption: None,
            report: Report::default(),
        }
    }

    /// Runs until nothing is wanted, the source or the budget says later, or `stop` is set.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<Report, StoreError> {
        let engine = self.engine;
        let active = self.active;
        let mut flights: Flights<'_> = FuturesUnordered::new();
        loop {
            if stop.is_cancelled() {
                self.report.stopped = true;
                break;
            }
            let until = match self.step().await? {
                Step::Done => break,
                Step::Send(call) => {
                    if let Some((flight, start)) = self.prepare(call).await? {
                        engine.clock.sleep_until(start).await;
                        let flight = self.take_off(flight);
                        let prm = self.knowledge.series.get(call.series).map(|s| s.prm.clone());
                        let token = self.token.as_ref().map(|(token, _)| token.clone());
                        if let Some((prm, span)) = prm.zip(self.span(call)) {
                            flights.push(Box::pin(async move {
                                let ask = Ask { prm: &prm, span, api: flight.api };
                                let request = active.source.request(ask, token.as_ref());
                                let result = active.transport.send(&request).await;
                                let duration = engine.clock.monotonic().saturating_sub(flight.left);
                                Landed { flight, result, duration }
                            }));
                        }
                    }
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
        self.finish().await
    }

    /// What to do next.
    async fn step(&mut self) -> Result<Step, StoreError> {
        let now = self.engine.clock.monotonic();
        let today = paris::today(self.engine.calendar.now());
        let released = self.knowledge.aside.iter().any(|a| a.until.is_some_and(|until| until <= now));
        if released {
            self.knowledge.aside.retain(|a| a.until.is_none_or(|until| until > now));
        }
        let exhausted = self.queue.is_empty() && self.in_air.is_empty();
        if self.stale || released || exhausted || self.planned_for != Some(today) {
            self.replan().await?;
        }
        self.tell();
        if self.interruption.is_some() {
            return Ok(if self.in_air.is_empty() { Step::Done } else { Step::WaitForLanding });
        }
        if let Some(pause_ms) = self.knowledge.source.not_before_ms
            && !self.queue.is_empty()
        {
            let wait = pause_ms - self.engine.clock.now().timestamp_millis();
            if wait > SHORT_PAUSE_MS {
                self.interrupt_for_pause(pause_ms).await?;
                return Ok(if self.in_air.is_empty() { Step::Done } else { Step::WaitForLanding });
            }
            if wait > 0 {
                return Ok(Step::WaitUntil(now + Duration::from_millis(wait.unsigned_abs())));
            }
        }
        if self.in_air.len() >= MOST_FLIGHTS {
            return Ok(Step::WaitForLanding);
        }
        let Some(index) = self.queue.iter().position(|call| self.may_fly(*call)) else {
            if !self.in_air.is_empty() {
                return Ok(Step::WaitForLanding);
            }
            let later = self.knowledge.aside.iter().filter_map(|a| a.until).min();
            return Ok(later.map_or(Step::Done, Step::WaitUntil));
        };
        if self.next_slot > now {
            return Ok(Step::WaitUntil(self.next_slot));
        }
        Ok(self.queue.remove(index).map_or(Step::Done, Step::Send))
    }

    async fn replan(&mut self) -> Result<(), StoreError> {
        let now = self.engine.calendar.now();
        let allowance = self.engine.allowance(self.active).await?;
        let series = self.knowledge.planned(self.active, &self.chosen, now);
        let calls = plan::plan(&series, now.timestamp(), self.chosen.request, allowance);
        self.queue = calls
            .into_iter()
            .filter(|call| !self.answered.contains(&key(*call)))
            .filter(|call| {
                self.in_air.iter().all(|f| f.call.series != call.series || f.call.days.intersect(call.days).is_none())
            })
            .collect();
        self.stale = false;
        self.planned_for = Some(paris::today(now));
        Ok(())
    }

    fn tell(&self) {
        let progress = Progress {
            done: self.report.calls,
            left: u64::try_from(self.queue.len() + self.in_air.len()).unwrap_or_default(),
            rows: self.report.inserted,
        };
        self.shared.tell(self.knowledge.source.id, progress);
    }

    /// Whether a call may leave now. While it is not known since when a meter is served, few
    /// calls are in the air that could be refused for it (docs/planning.md).
    fn may_fly(&self, call: Call) -> bool {
        let Some(series) = self.knowledge.series.get(call.series) else { return false };
        let direction = series.dataset.direction();
        let known = self.knowledge.activation(series.meter, direction);
        let proven = |start: Day| known.accepted.is_some_and(|accepted| accepted <= start);
        if proven(call.days.first()) {
            return true;
        }
        let unproven = self
            .in_air
            .iter()
            .filter(|f| f.meter == series.meter && f.dataset.direction() == direction && !proven(f.call.days.first()));
        let long = call.days.len() > SHORT_SPAN;
        let (mut same, mut all) = (0, 0);
        for flight in unproven {
            all += 1;
            same += usize::from((flight.call.days.len() > SHORT_SPAN) == long);
        }
        if known.refused.is_some() {
            all == 0
        } else if long || known.accepted.is_none() {
            same == 0
        } else {
            same < MOST_UNPROVEN
        }
    }

    fn span(&self, call: Call) -> Option<Span> {
        let series = self.knowledge.series.get(call.series)?;
        let now = self.engine.calendar.now();
        let first = self.knowledge.served_first(self.active, series.dataset, now)?;
        let served = Days::new(first, super::knowledge::published_end(now))?;
        let longest = self.active.source.reach(series.dataset)?.max_days;
        Span::new(series.dataset, call.days, longest, served)
    }

    fn limits(&self) -> Limits {
        let slow = self.knowledge.source.slow_until_ms.is_some_and(|t| t > self.engine.clock.now().timestamp_millis());
        if slow { self.active.limits.halved() } else { self.active.limits }
    }

    /// Writes the call's line and makes sure of a token; `None` where the call cannot be made now.
    async fn prepare(&mut self, call: Call) -> Result<Option<(Flight, Duration)>, StoreError> {
        let calendar = self.engine.calendar.now();
        let Some(series) = self.knowledge.series.get(call.series) else { return Ok(None) };
        let (meter, dataset) = (series.meter, series.dataset);
        let Some(api) = self.knowledge.api(self.active, dataset, calendar.timestamp()) else { return Ok(None) };
        if self.span(call).is_none() {
            // Midnight passed between plan and call, and the window moved with it.
            self.stale = true;
            return Ok(None);
        }
        let new = NewCall {
            source: self.knowledge.source.id,
            api: Some(api),
            asks: Some((meter, dataset, call.days)),
            asked_at: calendar.timestamp(),
        };
        let Some((line, mut start)) = self.reserve(&new).await? else {
            self.queue.push_front(call);
            return Ok(None);
        };
        if self.token_is_due() {
            let Some(after) = self.renew_token().await? else {
                let end = CallEnd { call: line, status: None, code: Some("no_token".to_owned()), duration_ms: 0 };
                self.engine.store.settle(end, Vec::new()).await?;
                self.queue.push_front(call);
                return Ok(None);
            };
            start = start.max(after);
        }
        let flight = Flight {
            call,
            line,
            api,
            meter,
            dataset,
            token: self.token_number,
            left: start,
            asked_at: calendar.timestamp(),
        };
        Ok(Some((flight, start.max(self.pace.next(&self.limits())))))
    }

    /// Writes a line; its start as a monotonic instant, or `None` where the budget says later.
    async fn reserve(&mut self, new: &NewCall) -> Result<Option<(CallId, Duration)>, StoreError> {
        let limits = self.limits();
        let now_ms = self.engine.clock.now().timestamp_millis();
        let now = self.engine.clock.monotonic();
        match self.engine.store.reserve(new, &limits, now_ms).await? {
            Reserved::Go { call, at_ms } => {
                let mut start = now + Duration::from_millis((at_ms - now_ms).max(0).unsigned_abs());
                if self.first_call && at_ms > now_ms {
                    start += SETTLE_IN;
                }
                self.first_call = false;
                let spacing = Duration::from_millis(limits.spacing_ms().unsigned_abs());
                self.next_slot = (start + spacing).saturating_sub(WRITE_AHEAD);
                Ok(Some((call, start)))
            }
            Reserved::Wait(Verdict::Wait { until, limit }) => {
                let wait = until - now_ms;
                if wait <= SHORT_PAUSE_MS {
                    self.next_slot = now + Duration::from_millis(wait.max(0).unsigned_abs());
                } else {
                    let which = match limit {
                        crate::budget::Exhausted::Hour => "hour",
                        crate::budget::Exhausted::Day => "day",
                    };
                    let message = format!(
                        "the call budget of the {which} for source {} is used up; the rest follows by itself in a later pass",
                        self.active.source.name()
                    );
                    self.interrupt(false, Some(until), message);
                }
                Ok(None)
            }
            Reserved::Wait(Verdict::Go { .. }) => Ok(None),
        }
    }

    fn interrupt(&mut self, credentials: bool, until_ms: Option<i64>, message: String) {
        let source = self.active.source.name().to_owned();
        self.interruption = Some(Interruption { source, credentials, until_ms, message });
    }

    async fn interrupt_for_pause(&mut self, until_ms: i64) -> Result<(), StoreError> {
        let code = self.knowledge.source.code.clone().unwrap_or_default();
        let (reaction, advice) =
            catalogue::row_of(&code).unwrap_or((Reaction::RetryLater, "the source asked for a pause"));
        let credentials = matches!(reaction, Reaction::StopApp { credentials: true });
        if credentials && self.chosen.request.operator && !self.reached {
            // The operator may just have mended them; a few tries are allowed.
            let since = self.engine.clock.now().timestamp_millis() - TOKEN_REST_MS;
            let refused = self.engine.store.refused_tokens(self.knowledge.source.id, since).await?;
            if refused < MOST_TOKEN_REFUSALS && self.token_number == 0 {
                self.knowledge.source.not_before_ms = None;
                return Ok(());
            }
        }
        self.interrupt(credentials, Some(until_ms), advice.to_owned());
        Ok(())
    }

    fn token_is_due(&self) -> bool {
        let now = self.engine.clock.monotonic();
        self.active.source.token_request().is_some() && self.token.as_ref().is_none_or(|(_, until)| *until <= now)
    }

    /// Fetches a token; the instant from which calls may leave, or `None` where there is none.
    /// This loop is the only one that fetches, so many waiting calls share one renewal.
    async fn renew_token(&mut self) -> Result<Option<Duration>, StoreError> {
        let Some(request) = self.active.source.token_request() else { return Ok(Some(Duration::ZERO)) };
        let new = NewCall {
            source: self.knowledge.source.id,
            api: None,
            asks: None,
            asked_at: self.engine.calendar.now().timestamp(),
        };
        let Some((line, start)) = self.reserve(&new).await? else { return Ok(None) };
        let start = start.max(self.pace.next(&self.limits()));
        self.engine.clock.sleep_until(start).await;
        let left = self.engine.clock.monotonic();
        self.pace.sent(left);
        self.token_number += 1;
        let result = self.active.transport.send(&request).await;
        let took = self.engine.clock.monotonic().saturating_sub(left);
        let read = match &result {
            Ok(response) => self.active.source.read_token(response, self.engine.clock.now()),
            Err(error) => Err(catalogue::own(error.trouble(), None, "")),
        };
        let status = result.as_ref().ok().map(|r| r.status);
        let duration_ms = millis(took);
        match read {
            Ok(token) => {
                self.engine.store.settle(CallEnd { call: line, status, code: None, duration_ms }, Vec::new()).await?;
                let usable = token.usable();
                self.token = Some((token, left + usable));
                let spacing = Duration::from_millis(self.limits().spacing_ms().unsigned_abs());
                Ok(Some(left + spacing))
            }
            Err(refusal) => {
                tracing::warn!(source = self.active.source.name(), code = %refusal.code, "no token: {}", refusal.advice);
                let now_ms = self.engine.clock.now().timestamp_millis();
                let credentials = matches!(refusal.reaction, Reaction::StopApp { .. });
                let rest = if credentials { TOKEN_REST_MS } else { 60_000 };
                let effect = Effect::Source {
                    source: self.knowledge.source.id,
                    not_before_ms: Some(now_ms + rest),
                    code: Some(refusal.code.clone()),
                    message: Some(react::message(&refusal)),
                    slow_until_ms: self.knowledge.source.slow_until_ms,
                };
                self.knowledge.learn(&effect);
                let end = CallEnd { call: line, status, code: Some(refusal.code.clone()), duration_ms };
                self.engine.store.settle(end, vec![effect]).await?;
                self.interrupt(credentials, Some(now_ms + rest), react::message(&refusal));
                Ok(None)
            }
        }
    }

    fn take_off(&mut self, flight: Flight) -> Flight {
        let now = self.engine.clock.monotonic();
        self.pace.sent(now);
        let flight = Flight { left: now, ..flight };
        self.in_air.push(flight);
        flight
    }

    async fn land(&mut self, landed: Landed) -> Result<(), StoreError> {
        let Landed { flight, result, duration } = landed;
        self.in_air.retain(|f| f.line != flight.line);
        self.report.calls += 1;
        let status = result.as_ref().ok().map(|r| r.status);
        let end = CallEnd { call: flight.line, status, code: None, duration_ms: millis(duration) };
        let refusal = match &result {
            Err(error) => catalogue::own(error.trouble(), None, ""),
            Ok(response) => match self.read(flight, response) {
                Ok(values) => return self.store_answer(flight, end, values).await,
                Err(refusal) => refusal,
            },
        };
        self.refused(flight, end, refusal).await
    }

    fn read(&self, flight: Flight, response: &Response) -> Result<Values, Refusal> {
        let parts = self.knowledge.series.get(flight.call.series).zip(self.span(flight.call));
        let Some((series, span)) = parts else { return Err(catalogue::own(Own::Undecodable, None, "")) };
        let ask = Ask { prm: &series.prm, span, api: flight.api };
        match self.active.source.read(ask, response, self.engine.clock.now()) {
            Reply::Refused(refusal) => Err(refusal),
            Reply::Body => {
                let expected = Expected {
                    api: flight.api,
                    label: self.active.source.label(),
                    dataset: flight.dataset,
                    prm: &series.prm,
                    days: self.active.source.covers(ask),
                };
                let decoded = decode::decode(&response.body, &expected).map_err(|error| {
                    tracing::error!(meter = %series.name, dataset = %flight.dataset, days = %flight.call.days, "{error}");
                    catalogue::own(error.code(), Some(response.status), "")
                })?;
                for anomaly in &decoded.anomalies {
                    tracing::warn!(meter = %series.name, dataset = %flight.dataset, "{anomaly}");
                }
                Ok(decoded.values)
            }
        }
    }

    async fn store_answer(&mut self, flight: Flight, end: CallEnd, values: Values) -> Result<(), StoreError> {
        let now = self.engine.calendar.now();
        let span = self.span(flight.call);
        let covered = match span.zip(self.knowledge.series.get(flight.call.series)) {
            Some((span, series)) => self.active.source.covers(Ask { prm: &series.prm, span, api: flight.api }),
            None => flight.call.days,
        };
        let served = self.knowledge.served_first(self.active, flight.dataset, now);
        let answer = Answer {
            end,
            meter: flight.meter,
            dataset: flight.dataset,
            source: self.knowledge.source.id,
            covered,
            values,
            asked_at: flight.asked_at,
            window_first: served.unwrap_or(covered.first()),
            effects: self.lessons(flight),
        };
        let effects = answer.effects.clone();
        let committed = self.engine.store.commit(answer).await?;
        for effect in &effects {
            self.knowledge.learn(effect);
        }
        // What was asked with these very days is not asked again in this pass.
        self.answered.insert(key(flight.call));
        self.reached = true;
        self.report.inserted += committed.inserted;
        self.report.changed += committed.changed;
        self.knowledge.answered(flight.call.series, &committed.days, flight.asked_at);
        self.settle_troubles(flight.call.series);
        if flight.call.reason == plan::Reason::Probe || flight.call.reason == plan::Reason::Activation {
            self.stale = true;
        }
        Ok(())
    }

    /// A series of which no days are set aside any more has no trouble either.
    fn settle_troubles(&mut self, series: usize) {
        if self.knowledge.aside.iter().all(|a| a.series != series) {
            self.troubles.remove(&series);
        }
    }

    /// What an answer teaches besides its values.
    fn lessons(&self, flight: Flight) -> Vec<Effect> {
        let mut effects = Vec::new();
        let direction = flight.dataset.direction();
        let known = self.knowledge.activation(flight.meter, direction);
        let start = flight.call.days.first();
        if known.accepted.is_none_or(|accepted| start < accepted) {
            let known = Activation { accepted: Some(start), ..known };
            effects.push(Effect::Activation { meter: flight.meter, direction, known });
        }
        let learnt = self.knowledge.learnt(flight.dataset);
        let remembered = learnt.api.map(|(api, _)| api);
        let preferred = self.active.source.apis().first().copied();
        if self.active.source.apis().len() > 1 && remembered.or(preferred) != Some(flight.api) {
            let known = crate::store::Learnt { api: Some((flight.api, flight.asked_at)), ..learnt };
            effects.push(Effect::Learnt { source: self.knowledge.source.id, dataset: flight.dataset, known });
        }
        let Some(series) = self.knowledge.series.get(flight.call.series) else { return effects };
        if matches!(series.state, SeriesState::Suspended | SeriesState::NotOffered) {
            // The probe got through: whatever was refused for the same reason is open again.
            let same = self.knowledge.series.iter().filter(|s| {
                s.meter == flight.meter
                    && s.state == series.state
                    && s.code == series.code
                    && s.dataset != flight.dataset
            });
            effects.extend(same.map(|s| Effect::Series {
                meter: s.meter,
                dataset: s.dataset,
                state: SeriesState::Ok,
                code: None,
                message: None,
                not_before: None,
            }));
        }
        if self.knowledge.source.code.is_some() {
            effects.push(Effect::Source {
                source: self.knowledge.source.id,
                not_before_ms: None,
                code: None,
                message: None,
                slow_until_ms: self.knowledge.source.slow_until_ms,
            });
        }
        effects
    }

    async fn refused(&mut self, flight: Flight, end: CallEnd, refusal: Refusal) -> Result<(), StoreError> {
        let end = CallEnd { code: Some(refusal.code.clone()), ..end };
        let call = flight.call;
        if refusal.reaction == Reaction::Reauth && self.reauthorised.insert(key(call)) {
            self.engine.store.settle(end, Vec::new()).await?;
            if flight.token == self.token_number {
                self.token = None;
            }
            self.queue.push_front(call);
            return Ok(());
        }
        let now = self.engine.calendar.now();
        let other_api = self.other_api(flight);
        let tries = self.tries.get(&key(call)).copied().unwrap_or_default();
        let circumstances = Circumstances {
            call,
            api: flight.api,
            other_api,
            tries,
            bursts: self.bursts,
            reached: self.reached,
            served_first: self.knowledge.served_first(self.active, flight.dataset, now).unwrap_or(call.days.first()),
            last_day: super::knowledge::published_end(now).plus(-1),
            now,
            now_ms: self.engine.clock.now().timestamp_millis(),
            jitter: fastrand::u32(0..=1_000),
            knowledge: &self.knowledge,
        };
        let consequence = react::react(&refusal, &circumstances);
        if consequence.next == Next::Nothing {
            let none = Values::none(flight.dataset.kind());
            return self.store_answer(flight, end, none).await;
        }
        self.tell_of(flight, &refusal, end.status);
        let old_event = consequence.next == Next::Pause && flight.left < self.pause_began;
        let effects = if old_event { Vec::new() } else { consequence.effects };
        self.engine.store.settle(end, effects.clone()).await?;
        for effect in &effects {
            self.knowledge.learn(effect);
        }
        self.stale = true;
        if react::counts_as_failure(&refusal.code) {
            self.knowledge.failed.push(FailedCall {
                meter: flight.meter,
                dataset: flight.dataset,
                days: call.days,
                at: flight.asked_at,
                code: refusal.code.clone(),
                healed: false,
            });
        }
        let message = react::message(&refusal);
        match consequence.next {
            Next::Replan if other_api.is_some() && catalogue::api_unavailable(flight.api, &refusal) => {
                self.fallen_back.insert(flight.dataset);
            }
            Next::Replan | Next::Nothing => {}
            Next::Pause if old_event => {}
            Next::Pause => {
                self.pause_began = self.engine.clock.monotonic();
                self.bursts += u32::from(refusal.reaction == Reaction::Burst);
                if let Reaction::StopApp { credentials } = refusal.reaction {
                    self.interrupt(credentials, self.knowledge.source.not_before_ms, message);
                } else if refusal.reaction == Reaction::Reauth {
                    self.interrupt(true, self.knowledge.source.not_before_ms, message);
                }
            }
            Next::Later | Next::Aside => {
                let delay = (consequence.next == Next::Later).then(|| {
                    let most = react::SHORT_DELAYS.get(tries).copied().unwrap_or_default() * 1_000;
                    Duration::from_millis(fastrand::u64(0..=most))
                });
                self.tries.insert(key(call), tries + 1);
                *self.knowledge.in_a_row.entry(call.series).or_default() += 1;
                let trouble = (refusal.code.clone(), message);
                self.troubles.insert(call.series, trouble.clone());
                let until = delay.map(|d| self.engine.clock.monotonic() + d);
                self.knowledge.aside.push(Aside { series: call.series, days: call.days, until, trouble });
                self.source_is_down(&refusal, tries);
            }
        }
        Ok(())
    }

    /// The other API of the source, where it has one that was not tried for this in this pass.
    fn other_api(&self, flight: Flight) -> Option<Api> {
        let other = self.active.source.apis().iter().copied().find(|api| *api != flight.api)?;
        let current = self.knowledge.api(self.active, flight.dataset, self.engine.calendar.now().timestamp());
        // A late answer of the API that was left already says nothing new: the plan goes on.
        let fresh = !self.fallen_back.contains(&flight.dataset) || current != Some(flight.api);
        fresh.then_some(other)
    }

    /// Where the other side could never be reached, going on would only fail for every series.
    fn source_is_down(&mut self, refusal: &Refusal, tries: usize) {
        let no_way = matches!(refusal.code.as_str(), "unreachable" | "tls");
        if no_way && !self.reached && tries > 0 {
            self.interrupt(false, None, react::message(refusal));
        } else if no_way && self.interruption.is_none() {
            // The others wait for the same retry.
            let until = self.knowledge.aside.last().and_then(|a| a.until);
            self.next_slot = self.next_slot.max(until.unwrap_or_default());
        }
    }

    fn tell_of(&self, flight: Flight, refusal: &Refusal, status: Option<u16>) {
        let Some(series) = self.knowledge.series.get(flight.call.series) else { return };
        tracing::warn!(
            meter = %series.name,
            dataset = %flight.dataset,
            days = %flight.call.days,
            api = %flight.api,
            code = %refusal.code,
            status,
            "{}",
            refusal.advice
        );
    }

    /// Stores how each series stands and sums up.
    async fn finish(mut self) -> Result<Report, StoreError> {
        if !self.report.stopped {
            self.replan().await?;
        }
        let waiting: BTreeSet<usize> = self.queue.iter().map(|call| call.series).collect();
        self.report.left = u64::try_from(self.queue.len()).unwrap_or_default();
        let mut effects = Vec::new();
        let interruption = self.interruption.clone();
        let why = interruption.as_ref().map(|i| i.message.clone());
        for (index, series) in self.knowledge.series.iter().enumerate() {
            if self.chosen.series.as_ref().is_some_and(|c| !c.contains(&index)) {
                continue;
            }
            let trouble = self.troubles.get(&index);
            let fares = match (series.state, trouble) {
                (SeriesState::Suspended | SeriesState::NotOffered, _) | (SeriesState::Failing, None) => continue,
                (_, Some((code, message))) => (SeriesState::Failing, Some(code.clone()), Some(message.clone())),
                (_, None) if waiting.contains(&index) && interruption.as_ref().is_some_and(|i| i.credentials) => {
                    (SeriesState::Failing, self.knowledge.source.code.clone(), why.clone())
                }
                (_, None) if waiting.contains(&index) && !self.report.stopped => {
                    (SeriesState::Waiting, None, why.clone())
                }
                (SeriesState::Waiting, None) if !waiting.contains(&index) => (SeriesState::Ok, None, None),
                _ => continue,
            };
            effects.push(Effect::Series {
                meter: series.meter,
                dataset: series.dataset,
                state: fares.0,
                code: fares.1,
                message: fares.2,
                not_before: series.not_before,
            });
        }
        for effect in &effects {
            self.knowledge.learn(effect);
        }
        self.engine.store.apply(effects).await?;
        let now = self.engine.calendar.now();
        self.engine.store.open_windows(&self.knowledge.windows(self.active, now), now.timestamp()).await?;
        self.report.interruptions.extend(interruption);
        self.report.meters = self.meters().await?;
        Ok(self.report)
    }

    async fn meters(&self) -> Result<Vec<MeterReport>, StoreError> {
        let status = self.engine.store.status().await?;
        let mut meters: Vec<MeterReport> = Vec::new();
        for (index, series) in self.knowledge.series.iter().enumerate() {
            if self.chosen.series.as_ref().is_some_and(|c| !c.contains(&index)) {
                continue;
            }
            let line = status.iter().find(|s| s.prm == series.prm && s.dataset == series.dataset);
            let report = DatasetReport {
                dataset: series.dataset,
                state: series.state,
                code: series.code.clone(),
                error: line.and_then(|l| l.message.clone()),
            };
            match meters.iter_mut().find(|m| m.prm == series.prm) {
                Some(meter) => meter.datasets.push(report),
                None => meters.push(MeterReport {
                    prm: series.prm.clone(),
                    name: series.name.clone(),
                    datasets: vec![report],
                }),
            }
        }
        Ok(meters)
    }
}

fn key(call: Call) -> (usize, Day, Day) {
    (call.series, call.days.first(), call.days.end())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
