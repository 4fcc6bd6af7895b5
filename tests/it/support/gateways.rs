//! Community gateways in the rig: sources of each kind in front of one simulated Enedis, and days
//! as a household lives them.

use std::sync::Arc;

use linkyd::budget::Limits;
use linkyd::engine::ActiveSource;
use linkyd::simulator::{Front, Simulator};
use linkyd::source::Source;
use linkyd::source::conso_api::{self, ConsoApi, ConsoApiSettings};
use linkyd::source::myelectricaldata::{self, MyElectricalData, MyElectricalDataSettings};

use super::{InMemory, Rig};

fn base(front: Front) -> url::Url {
    format!("http://localhost{}", front.prefix()).parse().unwrap()
}

/// Conso API by that name, with a token for every meter of the world.
pub(crate) fn conso(simulator: &Simulator, name: &str) -> ActiveSource {
    let prms: Vec<String> = simulator.world().meters.iter().map(|m| m.prm.full().to_owned()).collect();
    conso_with(simulator, name, &simulator.conso_token(&prms))
}

/// The same with that token.
pub(crate) fn conso_with(simulator: &Simulator, name: &str, token: &str) -> ActiveSource {
    let source = ConsoApi::new(ConsoApiSettings {
        name: name.to_owned(),
        base_url: base(Front::ConsoApi),
        token: token.to_owned().into(),
        user_agent: ConsoApi::user_agent(),
    });
    active(
        Arc::new(source),
        simulator,
        Limits {
            per_second: conso_api::PER_SECOND,
            per_hour: Some(conso_api::PER_HOUR),
            per_day: Some(conso_api::PER_DAY),
        },
        None,
    )
}

/// MyElectricalData by that name.
pub(crate) fn med(simulator: &Simulator, name: &str) -> ActiveSource {
    med_with(simulator, name, &simulator.med_credentials().1)
}

/// The same with that secret.
pub(crate) fn med_with(simulator: &Simulator, name: &str, secret: &str) -> ActiveSource {
    let client_id = simulator.med_credentials().0;
    let source = MyElectricalData::new(MyElectricalDataSettings {
        name: name.to_owned(),
        base_url: base(Front::MyElectricalData),
        client_id,
        client_secret: secret.to_owned().into(),
        user_agent: MyElectricalData::user_agent(),
    });
    let limits = |per_day| Limits { per_second: myelectricaldata::PER_SECOND, per_hour: None, per_day: Some(per_day) };
    active(
        Arc::new(source),
        simulator,
        limits(myelectricaldata::LIVE_PER_DAY),
        Some(limits(myelectricaldata::CACHED_PER_DAY)),
    )
}

fn active(source: Arc<dyn Source>, simulator: &Simulator, limits: Limits, cached: Option<Limits>) -> ActiveSource {
    ActiveSource { source, transport: Arc::new(InMemory(simulator.clone())), limits, cached }
}

impl Rig {
    /// Every meter lists these sources, in this order.
    pub(crate) fn served_by(mut self, names: &[&str]) -> Self {
        for meter in &mut self.meters {
            meter.sources = names.iter().map(|name| (*name).to_owned()).collect();
        }
        self
    }

    /// The passes of a day, at the hours at which a daemon would make them.
    pub(crate) async fn live_a_day(&self) {
        for (hour, minute) in [(8, 5), (9, 10), (14, 5)] {
            self.today_at(hour, minute);
            self.pass().await;
        }
    }

    /// Moves on to that time of the same Paris day, or of the next where it has passed.
    pub(crate) fn today_at(&self, hour: u32, minute: u32) {
        let today = linkyd::domain::paris::today(linkyd::clock::Clock::now(&*self.clock));
        let wall = chrono::NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        let now = linkyd::clock::Clock::now(&*self.clock).timestamp();
        let at = [today, today.next()]
            .map(|day| linkyd::domain::paris::at_wall(day, wall))
            .into_iter()
            .find(|at| *at >= now)
            .unwrap();
        self.clock.advance(std::time::Duration::from_secs((at - now).unsigned_abs()));
    }
}
