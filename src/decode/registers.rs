//! Reads the registers of a meter (API of 2026).
//!
//! Only the description of this answer is public, no example. So it is read leniently: what a list of one is,
//! may stand there without the list; a value may be a text; a moment may come with an offset, as wall
//! time or as a bare date. A reading of which it is not certain when it was taken or what it counts is
//! dropped and counted as an [`Anomaly`]. What is made of the readings is told in
//! [`crate::domain::registers`].

use chrono::NaiveTime;

use crate::domain::paris::{self, Candidates};
use crate::domain::registers::{Counts, RegisterReading};
use crate::domain::{Days, Direction, Prm, Values};

use super::node::{Node, root};
use super::stamp::Stamp;
use super::{
    Anomalies, Anomaly, AnomalyKind, DecodeError, Decoded, Expected, Number, agrees, check_named, check_period_of,
};

/// What an answer about registers should be.
#[derive(Debug, Clone, Copy)]
pub struct RegistersExpected<'a> {
    /// The meter that was asked for.
    pub prm: &'a Prm,
    /// The direction that was asked for.
    pub direction: Direction,
    /// The days that were asked for; a snapshot of the midnight at their end is welcome too.
    pub days: Days,
}

/// What an answer about registers held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodedRegisters {
    /// The readings, in the order of the answer.
    pub readings: Vec<RegisterReading>,
    /// The oddities, each kind once.
    pub anomalies: Vec<Anomaly>,
    /// Readings that the answer listed without a value.
    pub missing: u32,
    /// Whether the answer held no reading at all, not even one that had to be dropped.
    pub nothing: bool,
}

/// The kind of reading that is taken of every day.
const DAILY: &str = "AQ";

/// Reads the body of an answer as one of the datasets of registers: the readings in the order of time, each once.
pub(super) fn decode(body: &[u8], what: &Expected<'_>) -> Result<Decoded, DecodeError> {
    let asked = RegistersExpected { prm: what.prm, direction: what.dataset.direction(), days: what.days };
    let DecodedRegisters { mut readings, mut anomalies, missing, nothing } = registers(body, &asked)?;
    // Of equal ones that which was sent last comes last, and a daily snapshot after any other reading.
    readings.sort_by(|a, b| place(a).cmp(&place(b)).then(a.daily.cmp(&b.daily)));
    let mut conflicts = Anomalies::default();
    readings.dedup_by(|next, kept| {
        let same = place(next) == place(kept);
        if same {
            if next.wh != kept.wh && next.daily == kept.daily {
                conflicts.add(AnomalyKind::DuplicateConflict, kept.opens());
            }
            std::mem::swap(next, kept);
        }
        same
    });
    anomalies.extend(conflicts.into_vec());
    anomalies.sort_by_key(|anomaly| anomaly.kind);
    Ok(Decoded { values: Values::Registers(readings), anomalies, missing, nothing })
}

/// What tells a reading from others.
fn place(reading: &RegisterReading) -> (i64, &Counts, &str) {
    (reading.read_at, &reading.counts, &reading.register)
}

/// Reads the body of an answer.
pub fn registers(body: &[u8], what: &RegistersExpected<'_>) -> Result<DecodedRegisters, DecodeError> {
    let value = root(body)?;
    let answer = Node::of(&value);
    let mut collected = Collected { what, odd: Anomalies::default(), readings: Vec::new(), missing: 0, seen: false };
    if value.is_null() {
        return Ok(collected.done());
    }
    check_named(&answer.get("idPrm").scalar(), what.prm)?;
    let period = answer.get("periode");
    check_period_of(&period.get("dateDebut").scalar(), &period.get("dateFin").scalar(), what.days)?;
    // By the description the readings are below `contexte`, and the list beside it is empty.
    let beside = answer.get("grandeur").items().next().is_some().then_some(answer);
    if value.get("contexte").is_none() && beside.is_none() {
        return Err(DecodeError::NoReadings);
    }
    let wanted = match what.direction {
        Direction::Consumption => "CONS",
        Direction::Production => "PROD",
    };
    let (mut any, mut right, mut unit) = (false, false, false);
    for context in answer.get("contexte").items().chain(beside) {
        let daily = context.get("typeReleve").text().is_none_or(|kind| kind.eq_ignore_ascii_case(DAILY));
        for quantity in context.get("grandeur").items() {
            any = true;
            if !agrees(&quantity.get("grandeurMetier").scalar(), wanted) {
                continue;
            }
            right = true;
            // Registers of reactive energy may stand beside those of active energy.
            let active = agrees(&quantity.get("grandeurPhysique").scalar(), "EA");
            if !active || !agrees(&quantity.get("unite").scalar(), "Wh") {
                continue;
            }
            unit = true;
            collected.quantity(quantity, daily);
        }
    }
    match (any, right, unit) {
        (true, false, _) => Err(DecodeError::OtherDirection),
        (true, true, false) => Err(DecodeError::OtherUnit),
        _ => {
            collected.without_daily();
            Ok(collected.done())
        }
    }
}

struct Collected<'a> {
    what: &'a RegistersExpected<'a>,
    odd: Anomalies,
    readings: Vec<RegisterReading>,
    missing: u32,
    seen: bool,
}

impl Collected<'_> {
    fn quantity(&mut self, quantity: Node<'_>, daily: bool) {
        for calendar in quantity.get("calendrier").items() {
            let id = calendar.any(&["idCalendrier", "libelleCalendrier"]).text();
            for class in calendar.get("classeTemporelle").items() {
                let name = class.any(&["idClasseTemporelle", "libelleClasseTemporelle"]).text();
                let counts = match (&id, name) {
                    (Some(calendar), Some(class)) => Some(Counts::Class { calendar: calendar.clone(), class }),
                    _ => None,
                };
                self.register(class, counts.as_ref(), daily);
            }
        }
        for total in quantity.get("cadranTotalisateur").items() {
            self.register(total, Some(&Counts::Total), daily);
        }
    }

    fn register(&mut self, node: Node<'_>, counts: Option<&Counts>, daily: bool) {
        let register = node.get("codeCadran").text();
        for entry in node.get("valeur").items() {
            let stamp = entry.get("d").stamp();
            let day = stamp.map(|stamp| stamp.day);
            let wh = match entry.get("v").scalar().number() {
                Number::Missing => {
                    self.missing = self.missing.saturating_add(1);
                    continue;
                }
                Number::Bad => {
                    self.seen = true;
                    self.odd.add(AnomalyKind::BadValue, day);
                    continue;
                }
                Number::Value(wh) => wh,
            };
            self.seen = true;
            let (Some(counts), Some(register)) = (counts, &register) else {
                self.odd.add(AnomalyKind::NoClass, day);
                continue;
            };
            let Some(read_at) = stamp.and_then(moment) else {
                self.odd.add(AnomalyKind::BadStamp, day);
                continue;
            };
            let days = self.what.days;
            // The snapshot that closes the last day, and one stamped in winter time all year.
            let (first, last) = (paris::start_of(days.first()) - 7200, paris::start_of(days.end()) + 7200);
            if !(first..=last).contains(&read_at) {
                self.odd.add(AnomalyKind::Outside, day);
                continue;
            }
            self.readings.push(RegisterReading {
                direction: self.what.direction,
                read_at,
                daily,
                counts: counts.clone(),
                register: register.clone(),
                wh,
            });
        }
    }

    /// What kinds of readings there are is not certain: where none is said to be the daily one, those that were taken
    /// at a midnight show what it would.
    fn without_daily(&mut self) {
        if self.readings.iter().any(|reading| reading.daily) {
            return;
        }
        for reading in &mut self.readings {
            let day = paris::day_of(reading.read_at);
            if reading.read_at == paris::start_of(day) {
                reading.daily = true;
                self.odd.add(AnomalyKind::NoDaily, Some(day));
            }
        }
    }

    fn done(self) -> DecodedRegisters {
        DecodedRegisters {
            readings: self.readings,
            anomalies: self.odd.into_vec(),
            missing: self.missing,
            nothing: !self.seen,
        }
    }
}

/// The instant of a label; of the autumn hour that comes twice the first, since a register only grows.
fn moment(stamp: Stamp) -> Option<i64> {
    if let Some(instant) = stamp.instant {
        return Some(instant);
    }
    let seconds = u32::try_from(stamp.seconds.unwrap_or_default()).ok()?;
    let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0)?;
    match paris::candidates(stamp.day.date().and_time(time)) {
        Candidates::One(instant) | Candidates::Two(instant, _) => Some(instant),
        Candidates::None => None,
    }
}
