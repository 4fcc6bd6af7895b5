//! The sandbox's test customers: the last digit of `state` says who sits before the page.

use chrono::{Datelike, Weekday};

use crate::domain::{Day, Prm};
use crate::simulator::meter::{Consent, MeterKind, MeterSpec, Stretch};
use crate::simulator::world::World;

/// The meter of a customer, by the customer's digit and its place.
pub(super) fn prm(digit: u32, place: u32) -> Option<Prm> {
    format!("000000000{digit:02}{place:03}").parse().ok()
}

/// The meters that this customer shares, put into the world where they are not in it yet; `None` where he or
/// she refuses.
pub(super) fn customer(world: &mut World, digit: u32) -> Option<Vec<Prm>> {
    let kinds: &[MeterKind] = match digit {
        9 => return None,
        3 => &[MeterKind::Consumer, MeterKind::Producer],
        5 => &[MeterKind::Producer],
        6 => &[MeterKind::Both],
        7 => &[MeterKind::Consumer, MeterKind::Consumer, MeterKind::Consumer],
        _ => &[MeterKind::Consumer],
    };
    let mut shared = Vec::new();
    for (kind, place) in kinds.iter().zip(0..) {
        let prm = prm(digit, place)?;
        if !world.meters.iter().any(|meter| meter.prm == prm) {
            world.meters.push(meter(prm.clone(), *kind, digit));
        }
        shared.push(prm);
    }
    Some(shared)
}

fn meter(prm: Prm, kind: MeterKind, digit: u32) -> MeterSpec {
    let usual = MeterSpec { consent: Consent::NEVER, ..MeterSpec::new(prm).kind(kind) };
    match digit {
        1 => MeterSpec { consumption_since: "2019-08-27".parse().ok(), ..usual },
        2 => MeterSpec { curve_off: vec![Stretch::default()], ..usual },
        4 => MeterSpec { holes: tuesdays_and_wednesdays(), ..usual },
        _ => usual,
    }
}

/// Every Tuesday and Wednesday of this decade.
fn tuesdays_and_wednesdays() -> Vec<Stretch> {
    let (Ok(first), Ok(last)) = ("2020-01-01".parse::<Day>(), "2029-12-31".parse::<Day>()) else { return Vec::new() };
    let days = (0..=last.since(first)).map(|number| first.plus(number));
    days.filter(|day| day.date().weekday() == Weekday::Tue).map(|day| Stretch::days(day, day.next())).collect()
}

/// What becomes of a consent as soon as it is given.
pub(super) fn afterwards(world: &mut World, digit: u32) {
    if digit == 8 {
        let revoked = prm(digit, 0);
        for meter in world.meters.iter_mut().filter(|meter| Some(&meter.prm) == revoked.as_ref()) {
            meter.consent = Consent::NEVER;
        }
    }
}
