//! A simulated household with a solar roof, and the source that asks for it.

use linkyd::domain::{Api, Prm};
use linkyd::simulator::{MeterKind, MeterSpec, World};
use linkyd::source::enedis::{Enedis, EnedisSettings};

/// The instant that the calendar shows: a quiet morning, all of yesterday published.
pub(crate) const NOW: &str = "2026-11-24T10:30:00+01:00";

/// The meter.
pub(crate) fn prm() -> Result<Prm, linkyd::domain::prm::PrmError> {
    "09999999999991".parse()
}

/// The world of that one meter.
pub(crate) fn world(meter: Prm) -> World {
    World::new(20_260_928).with(MeterSpec::new(meter).kind(MeterKind::Both))
}

/// A source that answers at this address.
pub(crate) fn source(base_url: url::Url, api: Api) -> Enedis {
    Enedis::new(EnedisSettings {
        name: "enedis".to_owned(),
        base_url,
        apis: vec![api],
        client_id: "bench".to_owned(),
        client_secret: "bench".into(),
        user_agent: Enedis::user_agent(),
    })
}
