//! What a pass knows: the stored facts of one source, kept up to date as answers come in, and
//! how they look to the planner.

mod first_day;
mod newest;
mod parts;
mod planning;
mod turn;

pub use newest::{ENOUGH, Peers};
pub use parts::{Part, parts};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::serving::{CustomerKey, SeriesKey};
use super::{ActiveSource, react};
use crate::domain::coverage::PUBLISHED_AT;
use crate::domain::{Api, Dataset, Day, DayRecord, Days, Direction, SeriesState, paris};
use crate::plan::{Request, forecast};
use crate::source::Reach;
use crate::store::{
    Activation, CustomerFacts, Effect, Facts, FailedCall, Learnt, MeterId, SeriesFacts, SourceFacts, Window,
};

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
    /// What is to be known of customers, in the order of the configuration.
    pub customers: Vec<CustomerFacts>,
    /// Since when there are measures, as contracts say.
    floors: BTreeMap<(MeterId, Direction), Day>,
    /// Failed calls of today, by series.
    failed: BTreeMap<SeriesKey, Vec<FailedCall>>,
    /// What a plan made before does not know of yet.
    touched: Touched,
    /// Days set aside in this pass.
    pub aside: Vec<Aside>,
    /// Failures in a row of each series, in this pass.
    pub in_a_row: BTreeMap<usize, usize>,
    /// Series that another instance holds, until when at the latest (monotonic).
    pub taken: BTreeMap<usize, Duration>,
    /// Series that nobody collects any more: another instance has taken them out of its configuration, or they were
    /// forgotten.
    gone: BTreeSet<usize>,
    /// Where each series is.
    index: BTreeMap<SeriesKey, usize>,
    /// The series of each meter.
    members: BTreeMap<MeterId, Vec<usize>>,
    /// How far back the source answered for a dataset, where that was looked up: days on which it did,
    /// by an instant of them, and the oldest first day of a call.
    oldest_answered: BTreeMap<Dataset, Vec<(i64, Day)>>,
    /// Days fetched in this pass.
    fetched: BTreeMap<usize, BTreeSet<Day>>,
    /// Calls that a usual day takes of what the source counts by.
    pub daily: u32,
    /// The series of each dataset that these calls are for.
    asked: BTreeMap<Dataset, usize>,
    /// How far back the sources of each meter's list serve a dataset, and how many days each of them
    /// was found to lack of that.
    widest: BTreeMap<(MeterId, Dataset), Vec<(Reach, i32)>>,
    since: BTreeMap<MeterId, Day>,
    every: BTreeMap<Dataset, i32>,
}

/// What has changed since a plan was made.
#[derive(Debug, Default)]
pub struct Touched {
    /// Something that concerns every series.
    pub all: bool,
    /// These series.
    pub series: BTreeSet<usize>,
}

/// What a pass is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// Indices of the series that take part; `None`: all.
    pub series: Option<BTreeSet<usize>>,
    /// Days, refetching, and who asked.
    pub request: Request,
    /// What takes part of what is to be known of customers, and how much it is wanted.
    pub customers: BTreeMap<CustomerKey, Wish>,
}

/// How much something about a customer is wanted in a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Once it is due.
    #[default]
    Due,
    /// Another source has left or refused it in this pass: when that one may be asked again says nothing of this one.
    Moved,
    /// An operator asks for it by name, whenever that was done last.
    Told,
}

impl Knowledge {
    /// What concerns one source: its series, and what is known of them and of it.
    #[must_use]
    pub fn new(part: Part, every: BTreeMap<Dataset, i32>) -> Self {
        let Part {
            series,
            source,
            activations,
            customers,
            floors,
            failed,
            oldest_answered,
            asked,
            tokens,
            widest,
            since,
        } = part;
        let key = |series: &SeriesFacts| (series.meter, series.dataset);
        let mut members: BTreeMap<MeterId, Vec<usize>> = BTreeMap::new();
        for (index, one) in series.iter().enumerate() {
            members.entry(one.meter).or_default().push(index);
        }
        let mut by_series: BTreeMap<SeriesKey, Vec<FailedCall>> = BTreeMap::new();
        for call in failed {
            by_series.entry((call.meter, call.dataset)).or_default().push(call);
        }
        Self {
            index: series.iter().enumerate().map(|(index, one)| (key(one), index)).collect(),
            members,
            series,
            source,
            activations,
            customers,
            floors,
            failed: by_series,
            touched: Touched::default(),
            daily: u32::try_from(forecast::daily(&asked, &every)).unwrap_or(u32::MAX).saturating_add(tokens),
            asked,
            widest,
            aside: Vec::new(),
            in_a_row: BTreeMap::new(),
            taken: BTreeMap::new(),
            gone: BTreeSet::new(),
            oldest_answered,
            fetched: BTreeMap::new(),
            since,
            every,
        }
    }

    /// Where a series is.
    #[must_use]
    pub fn index_of(&self, series: SeriesKey) -> Option<usize> {
        self.index.get(&series).copied()
    }

    /// The counter of a series is this one, since the call that just ended.
    pub fn saw(&mut self, index: usize, seen: i64) {
        if let Some(series) = self.series.get_mut(index) {
            series.seen = seen;
        }
    }

    /// Whether more is known of a series whose counter is that than here.
    #[must_use]
    pub fn is_news(&self, series: SeriesKey, seen: i64) -> bool {
        let known = self.index_of(series).and_then(|index| self.series.get(index));
        known.is_some_and(|series| series.seen != seen)
    }

    /// Takes over what was read anew of some series at `now` (monotonic), and of all sources. What has
    /// changed, and what nobody can hold any more, is open again.
    pub fn refresh(&mut self, facts: &Facts, now: Duration) {
        for fresh in &facts.series {
            let Some(index) = self.index_of((fresh.meter, fresh.dataset)) else { continue };
            let Some(series) = self.series.get_mut(index) else { continue };
            if series.seen != fresh.seen || self.taken.get(&index).is_some_and(|until| *until <= now) {
                self.taken.remove(&index);
            }
            self.gone.remove(&index);
            self.failed.remove(&(fresh.meter, fresh.dataset));
            self.touched.series.insert(index);
            series.clone_from(fresh);
        }
        let source = self.source.id;
        for failed in facts.failed.iter().filter(|f| f.source == source) {
            self.add_failed(failed.clone());
        }
        self.floors.extend(facts.floors.iter().map(|(key, day)| (*key, *day)));
        self.activations.extend(facts.activations.iter().map(|(key, known)| (*key, *known)));
        if let Some(source) = facts.sources.iter().find(|s| s.id == self.source.id) {
            self.touched.all |= self.source.learnt != source.learnt;
            self.source.clone_from(source);
        }
        // What another instance has learnt of a limit counts with what shows how far that was searched.
        let answered = facts.oldest_answered.iter().filter(|((of, _), _)| *of == source);
        self.oldest_answered.extend(answered.map(|((_, dataset), answered)| (*dataset, answered.clone())));
    }

    /// Leaves alone, for the rest of the pass, those of the series asked for that the database no longer has as
    /// configured. It would refuse each call for them as before, and nothing about them can change.
    pub fn gave_up(&mut self, asked: &[SeriesKey], facts: &Facts) {
        let there: BTreeSet<SeriesKey> = facts.series.iter().map(|one| (one.meter, one.dataset)).collect();
        for key in asked.iter().filter(|key| !there.contains(*key)) {
            let Some(index) = self.index_of(*key) else { continue };
            self.taken.remove(&index);
            self.gone.insert(index);
            self.touched.series.insert(index);
        }
    }

    /// Days that were set aside until `now` (monotonic) are open again.
    pub fn release(&mut self, now: Duration) {
        let touched = &mut self.touched.series;
        self.aside.retain(|aside| {
            let over = aside.until.is_some_and(|until| until <= now);
            if over {
                touched.insert(aside.series);
            }
            !over
        });
    }

    /// A call has failed.
    pub fn add_failed(&mut self, call: FailedCall) {
        self.failed.entry((call.meter, call.dataset)).or_default().push(call);
    }

    /// Something of a series has changed that a plan made before does not know of.
    pub fn touch(&mut self, index: usize) {
        self.touched.series.insert(index);
    }

    /// What has changed since it was last asked for.
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// Whether anything has.
    #[must_use]
    pub fn is_touched(&self) -> bool {
        self.touched.all || !self.touched.series.is_empty()
    }

    /// The series of a series' meter, this one included.
    pub(super) fn siblings(&self, index: usize) -> impl Iterator<Item = usize> {
        let meter = self.series.get(index).map(|s| s.meter);
        meter.and_then(|meter| self.members.get(&meter)).into_iter().flatten().copied()
    }

    /// The series of a meter that go one way.
    fn same_way(&self, meter: MeterId, direction: Direction) -> impl Iterator<Item = &SeriesFacts> {
        let members = self.members.get(&meter).into_iter().flatten();
        let series = members.filter_map(|index| self.series.get(*index));
        series.filter(move |s| s.dataset.direction() == direction)
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
        let apis = source.source.apis(dataset);
        let preferred = apis.first().copied();
        match self.learnt(dataset).api {
            Some((api, at)) if apis.contains(&api) => {
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
        self.window_after(source, series, now, self.activation(series.meter, series.dataset.direction()).refused)
    }

    /// The same, with days up to `refused` left out.
    fn window_after(
        &self,
        source: &ActiveSource,
        series: &SeriesFacts,
        now: DateTime<Utc>,
        refused: Option<Day>,
    ) -> Option<Days> {
        let served = self.served_first(source, series.dataset, now)?;
        Days::new(self.wanted_from(series, served, refused), published_end(now))
    }

    /// The oldest day of which something is stored, in any series of that direction.
    #[must_use]
    pub fn oldest_held(&self, meter: MeterId, direction: Direction) -> Option<Day> {
        self.same_way(meter, direction).filter_map(|s| s.days.first_held()).min()
    }

    /// The windows of all series, for the store: what any source of the meter's list still serves, so
    /// that days do not expire while one that serves less stands in.
    #[must_use]
    pub fn windows(&self, source: &ActiveSource, now: DateTime<Utc>) -> Vec<Window> {
        let today = paris::today(now);
        self.series
            .iter()
            .filter_map(|s| {
                let others = self.widest.get(&(s.meter, s.dataset)).into_iter().flatten();
                let others = others.map(|(reach, short)| reach.first_day(today).plus(*short));
                let served = self.served_first(source, s.dataset, now).into_iter().chain(others).min()?;
                let refused = self.activation(s.meter, s.dataset.direction()).refused;
                let days = Days::new(self.wanted_from(s, served, refused), published_end(now));
                Some(Window { meter: s.meter, dataset: s.dataset, served, days })
            })
            .collect()
    }

    /// The first wanted day of those that are served: not before `since`, nor up to a day that was
    /// refused as before the activation, wherever exactly that is.
    fn wanted_from(&self, series: &SeriesFacts, served: Day, refused: Option<Day>) -> Day {
        let since = self.since.get(&series.meter).copied();
        let floor = self.floor(series.meter, series.dataset.direction());
        [since, floor, refused.map(Day::next)].into_iter().flatten().fold(served, Day::max)
    }

    /// The day before which nothing is wished for, as the contract says: measures of an earlier holder are not
    /// served. Where such days are stored or were served the contract is not believed.
    fn floor(&self, meter: MeterId, direction: Direction) -> Option<Day> {
        let floor = self.floors.get(&(meter, direction)).copied()?;
        let served = [self.activation(meter, direction).accepted, self.oldest_held(meter, direction)];
        served.into_iter().flatten().all(|day| day >= floor).then_some(floor)
    }

    /// Takes over what the newest contracts of a meter say.
    pub fn learn_floors(&mut self, meter: MeterId, floors: &BTreeMap<Direction, Day>) {
        for direction in Direction::ALL {
            let floor = floors.get(&direction).copied();
            let before = match floor {
                Some(day) => self.floors.insert((meter, direction), day),
                None => self.floors.remove(&(meter, direction)),
            };
            if before != floor {
                self.touched.series.extend(self.members.get(&meter).into_iter().flatten());
            }
        }
    }

    /// How often a series has failed: today without a success after it, or in a row in this pass.
    #[must_use]
    pub fn failures(&self, index: usize) -> usize {
        let today = self.series.get(index).map_or(0, |facts| self.failed_of(facts).filter(|f| !f.healed).count());
        today.max(self.in_a_row.get(&index).copied().unwrap_or_default())
    }

    /// The code of days that are still wanted but rest until tomorrow because calls for them failed
    /// too often today.
    #[must_use]
    pub fn resting(&self, source: &ActiveSource, index: usize, now: DateTime<Utc>) -> Option<String> {
        let facts = self.series.get(index)?;
        let window = self.window(source, facts, now)?;
        let open = |day: Day| facts.days.get(day).due(now.timestamp());
        let rests = |f: &&FailedCall| {
            self.rests(facts, f) && f.days.intersect(window).is_some_and(|days| days.iter().any(open))
        };
        self.failed_of(facts).find(rests).map(|f| f.code.clone())
    }

    /// Whether a series has failed so often that it rests.
    fn exhausted(&self, index: usize) -> bool {
        self.failures(index) >= FAILURES_A_DAY
    }

    fn failed_of<'a>(&'a self, facts: &'a SeriesFacts) -> impl Iterator<Item = &'a FailedCall> {
        let failed = self.failed.get(&(facts.meter, facts.dataset)).into_iter().flatten();
        failed.filter(|f| react::counts_as_failure(&f.code))
    }

    /// The days that are not asked for now because calls for them keep failing.
    fn aside_of(&self, index: usize, facts: &SeriesFacts) -> Vec<Days> {
        let here = self.aside.iter().filter(|a| a.series == index).map(|a| a.days);
        here.chain(self.failed_of(facts).filter(|f| self.rests(facts, f)).map(|f| f.days)).collect()
    }

    /// Whether the days of a failed call rest until tomorrow.
    fn rests(&self, facts: &SeriesFacts, failed: &FailedCall) -> bool {
        let overlapping = |other: &&FailedCall| other.days.intersect(failed.days).is_some();
        react::is_bug(&failed.code) || self.failed_of(facts).filter(overlapping).count() >= FAILURES_A_DAY
    }

    /// Takes over what a call taught.
    pub fn learn(&mut self, effect: &Effect) {
        match effect {
            Effect::Series { meter, dataset, state, code, not_before, .. } => {
                let index = self.index_of((*meter, *dataset));
                if let Some((index, series)) = index.and_then(|index| Some((index, self.series.get_mut(index)?))) {
                    self.touched.series.insert(index);
                    series.state = *state;
                    series.code.clone_from(code);
                    series.not_before = *not_before;
                }
            }
            Effect::Activation { meter, direction, known } => self.learn_activation(*meter, *direction, *known),
            Effect::Accepted { meter, direction, first } => {
                let known = self.activation(*meter, *direction).accepting(*first);
                self.learn_activation(*meter, *direction, known);
            }
            Effect::Learnt { dataset, known, .. } => {
                self.source.learnt.insert(*dataset, *known);
                self.touched.all = true;
            }
            Effect::Source { state, .. } => self.source.state.clone_from(state),
            Effect::Closed { path, closed: Some(closed), .. } => {
                self.source.closed.insert(path.clone(), closed.clone());
            }
            Effect::Closed { path, closed: None, .. } => {
                self.source.closed.remove(path);
            }
            // The database reckons with the one when the next call's line is written, and keeps the other.
            Effect::Told { .. } | Effect::Unread(_) => {}
        }
    }

    fn learn_activation(&mut self, meter: MeterId, direction: Direction, known: Activation) {
        let before = self.activations.insert((meter, direction), known);
        // Only a refusal, or the end of one, says anything about days that are wanted.
        if before.unwrap_or_default().refused != known.refused || known.refused.is_some() {
            self.touched.series.extend(self.members.get(&meter).into_iter().flatten());
        }
    }

    /// Takes over the records of days and that the series is well.
    pub fn answered(&mut self, index: usize, days: &[(Day, DayRecord)], at: i64) {
        self.in_a_row.remove(&index);
        self.fetched.entry(index).or_default().extend(days.iter().map(|(day, _)| *day));
        let Some(series) = self.series.get_mut(index) else { return };
        series.state = SeriesState::Ok;
        series.code = None;
        series.not_before = None;
        series.last_success_at = Some(at);
        series.days.extend(days.iter().copied());
        let (meter, dataset) = (series.meter, series.dataset);
        if let (Some(known), Some((first, _))) = (self.oldest_answered.get_mut(&dataset), days.first()) {
            known.push((at, *first));
        }
        for failed in self.failed.get_mut(&(meter, dataset)).into_iter().flatten() {
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

#[cfg(test)]
mod tests;
