//! A meter and what became of it: its kind, its step, its customer's consent, its incidents.

use chrono::{DateTime, NaiveTime, Utc};
use serde::Deserialize;

use super::customer::{ContractSpec, CustomerSpec};
use super::front::Front;
use super::registers::RegisterSpec;
use super::text;
use crate::domain::{Dataset, Day, Direction, Prm, Step};

/// Which way energy can flow through a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeterKind {
    /// Draws only.
    Consumer,
    /// Feeds in only: a plant with a meter of its own.
    Producer,
    /// A household with a solar roof that uses what it produces first.
    Both,
}

/// From an instant on, the meter records at another step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepChange {
    /// Since when; counted from the full hour.
    #[serde(deserialize_with = "text::one")]
    pub from: DateTime<Utc>,
    /// The step from then on.
    #[serde(deserialize_with = "text::step")]
    pub step: Step,
}

/// The customer's consent to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consent {
    /// Whether it was ever given.
    pub granted: bool,
    /// Since when; always, if left out.
    #[serde(deserialize_with = "text::some")]
    pub from: Option<DateTime<Utc>>,
    /// Revoked or expired at this instant.
    #[serde(deserialize_with = "text::some")]
    pub until: Option<DateTime<Utc>>,
    /// First day that it covers; earlier ones are refused with `ADAM-DC-0009`.
    #[serde(deserialize_with = "text::some")]
    pub covers_from: Option<Day>,
}

impl Consent {
    /// Given, without limits.
    pub const GRANTED: Self = Self { granted: true, from: None, until: None, covers_from: None };
    /// Never given.
    pub const NEVER: Self = Self { granted: false, from: None, until: None, covers_from: None };

    /// Given until that instant.
    #[must_use]
    pub fn until(at: DateTime<Utc>) -> Self {
        Self { until: Some(at), ..Self::GRANTED }
    }

    /// Whether it holds at that instant.
    #[must_use]
    pub fn holds(self, at: DateTime<Utc>) -> bool {
        self.granted && self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }
}

impl Default for Consent {
    fn default() -> Self {
        Self::GRANTED
    }
}

/// A stretch of time, by days or by instants, of some datasets. An end left out is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stretch {
    /// First Paris day.
    #[serde(deserialize_with = "text::some")]
    pub first: Option<Day>,
    /// Last Paris day, included.
    #[serde(deserialize_with = "text::some")]
    pub last: Option<Day>,
    /// First instant; concerns intervals only, whole days are not cut by instants.
    #[serde(deserialize_with = "text::some")]
    pub from: Option<DateTime<Utc>>,
    /// End of the stretch, not included.
    #[serde(deserialize_with = "text::some")]
    pub until: Option<DateTime<Utc>>,
    /// Which datasets; all where empty.
    #[serde(deserialize_with = "text::list")]
    pub datasets: Vec<Dataset>,
}

impl Stretch {
    /// Those days, the last one included, of every dataset.
    #[must_use]
    pub fn days(first: Day, last: Day) -> Self {
        Self { first: Some(first), last: Some(last), ..Self::default() }
    }

    /// The intervals that start in `[from, until)`.
    #[must_use]
    pub fn instants(from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { from: Some(from), until: Some(until), ..Self::default() }
    }

    /// The same for some datasets only.
    #[must_use]
    pub fn of(self, datasets: &[Dataset]) -> Self {
        Self { datasets: datasets.to_vec(), ..self }
    }

    /// Whether an interval of that day that starts then lies in it; `None`: the day as a whole.
    #[must_use]
    pub fn contains(&self, dataset: Dataset, day: Day, start: Option<i64>) -> bool {
        let concerned = self.datasets.is_empty() || self.datasets.contains(&dataset);
        let days = self.first.is_none_or(|first| first <= day) && self.last.is_none_or(|last| day <= last);
        let instants = match (start, self.from, self.until) {
            (_, None, None) => true,
            (None, _, _) => false,
            (Some(start), from, until) => {
                from.is_none_or(|from| from.timestamp() <= start) && until.is_none_or(|until| start < until.timestamp())
            }
        };
        concerned && days && instants
    }
}

/// Days that are published later than usual.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// Which.
    #[serde(default)]
    pub stretch: Stretch,
    /// By how many days.
    #[serde(default)]
    pub days: i32,
    /// Time of the day in Paris; the usual one where left out.
    #[serde(default, deserialize_with = "text::some_time")]
    pub at: Option<NaiveTime>,
}

/// Values that change after they were published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// Which.
    #[serde(default)]
    pub stretch: Stretch,
    /// From this instant on the new values are served.
    #[serde(deserialize_with = "text::one")]
    pub at: DateTime<Utc>,
    /// What is added to each value: Wh for an interval or a day, VA for a maximum.
    pub add: i64,
}

/// How one front sees a meter, where that differs: its consent is one of its own, and what went
/// missing or came late may have done so on the way to it alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AtFront {
    /// Which front.
    pub front: Front,
    /// Consent to this front's application.
    #[serde(default)]
    pub consent: Option<Consent>,
    /// The same for production.
    #[serde(default)]
    pub production_consent: Option<Consent>,
    /// First day of consumption for the consent that this front holds.
    #[serde(default, deserialize_with = "text::some")]
    pub consumption_since: Option<Day>,
    /// The same for production.
    #[serde(default, deserialize_with = "text::some")]
    pub production_since: Option<Day>,
    /// Missing here, besides what is missing everywhere.
    #[serde(default)]
    pub holes: Vec<Stretch>,
    /// Late here; decides over what is said of all fronts.
    #[serde(default)]
    pub late: Vec<Late>,
}

impl AtFront {
    /// Nothing differs yet.
    #[must_use]
    pub fn new(front: Front) -> Self {
        Self {
            front,
            consent: None,
            production_consent: None,
            consumption_since: None,
            production_since: None,
            holes: Vec::new(),
            late: Vec::new(),
        }
    }
}

/// One meter and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterSpec {
    /// Its identifier.
    #[serde(deserialize_with = "text::one")]
    pub prm: Prm,
    /// Which way energy can flow.
    #[serde(default = "consumer")]
    pub kind: MeterKind,
    /// The step of its curves at the beginning of time.
    #[serde(default = "half_hour", deserialize_with = "text::step")]
    pub step: Step,
    /// Later changes of the step, in order.
    #[serde(default)]
    pub step_changes: Vec<StepChange>,
    /// Day on which this holder's consumption began; before all windows where left out.
    #[serde(default, deserialize_with = "text::some")]
    pub consumption_since: Option<Day>,
    /// The same for production.
    #[serde(default, deserialize_with = "text::some")]
    pub production_since: Option<Day>,
    /// The customer's consent.
    #[serde(default)]
    pub consent: Consent,
    /// Consent for production where it differs, as with a second meter that was forgotten.
    #[serde(default)]
    pub production_consent: Option<Consent>,
    /// False for a PRM that Enedis does not know (`STM-ERR-0000019`).
    #[serde(default = "yes")]
    pub known: bool,
    /// False from the day on which somebody else holds the contract (`ADAM-DC-0007`).
    #[serde(default = "yes")]
    pub held: bool,
    /// The customer objected to the recording of the curve (`ADAM-ERR0075`).
    #[serde(default)]
    pub curve_objected: bool,
    /// When the collection of the curve was switched off: no points, for ever.
    #[serde(default)]
    pub curve_off: Vec<Stretch>,
    /// What was never measured or never reached Enedis.
    #[serde(default)]
    pub holes: Vec<Stretch>,
    /// What was published late. The last entry that concerns a day decides.
    #[serde(default)]
    pub late: Vec<Late>,
    /// What was corrected after publication; corrections add up.
    #[serde(default)]
    pub corrections: Vec<Correction>,
    /// Its contract.
    #[serde(default)]
    pub contract: ContractSpec,
    /// Who holds it.
    #[serde(default)]
    pub customer: CustomerSpec,
    /// Its registers.
    #[serde(default)]
    pub registers: RegisterSpec,
    /// Where a front sees this meter in another way.
    #[serde(default)]
    pub fronts: Vec<AtFront>,
}

fn consumer() -> MeterKind {
    MeterKind::Consumer
}

fn half_hour() -> Step {
    Step::from_minutes(30).unwrap_or_else(|| unreachable!("30 minutes is a step"))
}

fn yes() -> bool {
    true
}

impl MeterSpec {
    /// A household that draws, at half-hours, without any incident.
    #[must_use]
    pub fn new(prm: Prm) -> Self {
        Self {
            prm,
            kind: consumer(),
            step: half_hour(),
            step_changes: Vec::new(),
            consumption_since: None,
            production_since: None,
            consent: Consent::GRANTED,
            production_consent: None,
            known: true,
            held: true,
            curve_objected: false,
            curve_off: Vec::new(),
            holes: Vec::new(),
            late: Vec::new(),
            corrections: Vec::new(),
            contract: ContractSpec::default(),
            customer: CustomerSpec::default(),
            registers: RegisterSpec::default(),
            fronts: Vec::new(),
        }
    }

    /// The same with another kind.
    #[must_use]
    pub fn kind(self, kind: MeterKind) -> Self {
        Self { kind, ..self }
    }

    /// The same with another step.
    #[must_use]
    pub fn step(self, step: Step) -> Self {
        Self { step, ..self }
    }

    /// First day of a direction, if it has one.
    #[must_use]
    pub fn activated_on(&self, direction: Direction) -> Option<Day> {
        match direction {
            Direction::Consumption => self.consumption_since,
            Direction::Production => self.production_since,
        }
    }

    /// The consent that counts for a direction.
    #[must_use]
    pub fn consent_for(&self, direction: Direction) -> Consent {
        match direction {
            Direction::Consumption => self.consent,
            Direction::Production => self.production_consent.unwrap_or(self.consent),
        }
    }

    /// Whether energy can flow that way.
    #[must_use]
    pub fn has(&self, direction: Direction) -> bool {
        match self.kind {
            MeterKind::Both => true,
            MeterKind::Consumer => direction == Direction::Consumption,
            MeterKind::Producer => direction == Direction::Production,
        }
    }

    /// What differs at a front, to change it.
    pub fn at_mut(&mut self, front: Front) -> &mut AtFront {
        let known = self.fronts.iter().position(|at| at.front == front);
        let index = known.unwrap_or_else(|| {
            self.fronts.push(AtFront::new(front));
            self.fronts.len() - 1
        });
        self.fronts.get_mut(index).unwrap_or_else(|| unreachable!("it was found or pushed"))
    }

    /// The meter as that front sees it.
    pub(super) fn seen_by(&self, front: Front) -> Self {
        let mut meter = self.clone();
        for at in self.fronts.iter().filter(|at| at.front == front) {
            // A consent of its own is not narrowed by what another one says of production.
            if let Some(consent) = at.consent {
                (meter.consent, meter.production_consent) = (consent, None);
            }
            meter.production_consent = at.production_consent.or(meter.production_consent);
            meter.consumption_since = at.consumption_since.or(meter.consumption_since);
            meter.production_since = at.production_since.or(meter.production_since);
            meter.holes.extend(at.holes.iter().cloned());
            meter.late.extend(at.late.iter().cloned());
        }
        meter
    }

    /// The step in force at an instant.
    #[must_use]
    pub fn step_at(&self, epoch: i64) -> Step {
        let changed =
            self.step_changes.iter().rev().find(|change| change.from.timestamp().div_euclid(3600) * 3600 <= epoch);
        changed.map_or(self.step, |change| change.step)
    }
}
