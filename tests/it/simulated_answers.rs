//! What is no measure, from the request to the value: the simulator answers, the decoder reads, and neither knows the
//! other. Contracts, people, registers and the consent journey, in both APIs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request as HttpRequest, StatusCode, header};
use linkyd::client::transport::Transport;
use linkyd::clock::{Calendar, Clock, ManualClock};
use linkyd::decode::customer::{self, Read};
use linkyd::decode::{DecodedRegisters, RegistersExpected, registers, services};
use linkyd::domain::personal::{Identity, Personal};
use linkyd::domain::registers::{Counts, by_class};
use linkyd::domain::services::{Measure, Standing};
use linkyd::domain::{Api, Contracts, Dataset, Days, Direction, Prm, Span};
use linkyd::simulator::{
    AsOf, Consent, ContractSpec, Grid, IndexStamp, Limits, MeterKind, MeterSpec, OffPeakSlot, RegisterSpec, Shape,
    Simulator, World,
};
use linkyd::source::catalogue::Endpoint;
use linkyd::source::enedis::consent::{self, Given, Period, State};
use linkyd::source::enedis::{CustomerCall, Enedis, EnedisSettings};
use linkyd::source::{Ask, Request, Source, Token};
use secrecy::SecretString;
use tower::ServiceExt;

use super::support::InMemory;

const PRM: &str = "01234567890123";

fn prm() -> Prm {
    PRM.parse().unwrap()
}

struct Stage {
    simulator: Simulator,
    enedis: Enedis,
    token: Token,
}

impl Stage {
    async fn of(mut world: World) -> Self {
        world.rules.limits = Limits::OFF;
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new("2026-11-24T11:00:00Z".parse().unwrap()));
        let simulator = Simulator::new(world, Arc::clone(&clock), Calendar::new(clock, None));
        let enedis = Enedis::new(EnedisSettings {
            name: "home".to_owned(),
            base_url: "http://localhost".parse().unwrap(),
            apis: vec![Api::V2026, Api::V5],
            client_id: "app".to_owned(),
            client_secret: SecretString::from("secret"),
            user_agent: Enedis::user_agent(),
        });
        let token = Token { secret: SecretString::from(""), lifetime: Duration::ZERO };
        let mut stage = Self { simulator, enedis, token };
        let answer = stage.raw(&stage.enedis.token_request().unwrap()).await;
        stage.token = stage.enedis.read_token(&answer, stage.simulator.now()).unwrap();
        stage
    }

    async fn raw(&self, request: &Request) -> linkyd::source::Response {
        InMemory(self.simulator.clone()).send(request).await.unwrap()
    }

    /// The body of an answer; a refusal's code otherwise.
    async fn body(&self, request: &Request) -> Result<Vec<u8>, String> {
        let answer = self.raw(request).await;
        self.enedis
            .read_answer(Endpoint::Customer, &answer, self.simulator.now())
            .map(<[u8]>::to_vec)
            .map_err(|refusal| refusal.code)
    }

    async fn ask(&self, call: CustomerCall) -> Vec<u8> {
        self.body(&self.enedis.customer_request(call, &prm(), &self.token)).await.unwrap()
    }

    async fn registers(&self, direction: Direction, days: Days) -> DecodedRegisters {
        let dataset = match direction {
            Direction::Consumption => Dataset::ConsumptionIndex,
            Direction::Production => Dataset::ProductionIndex,
        };
        let prm = prm();
        let span = Span::new(dataset, days, days.len(), days).unwrap();
        let ask = Ask { prm: &prm, span, api: Api::V2026, newest: days.last() };
        let request = self.enedis.request(ask, Some(&self.token));
        registers(&self.body(&request).await.unwrap(), &RegistersExpected { prm: &prm, direction, days }).unwrap()
    }

    /// Opens a page as a browser does; where it was sent to, or what it shows.
    async fn browse(&self, url: &str) -> Result<String, String> {
        let request = HttpRequest::get(url).body(Body::empty()).unwrap();
        let answer = self.simulator.router().oneshot(request).await.unwrap();
        if answer.status() == StatusCode::FOUND {
            return Ok(answer.headers()[header::LOCATION].to_str().unwrap().to_owned());
        }
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        Err(String::from_utf8(body.to_vec()).unwrap())
    }

    /// Walks through the journey, clicking the link with that id.
    async fn journey(&self, api: Api, state: &State, id: &str) -> Result<String, String> {
        let base = "http://localhost".parse().unwrap();
        let url = consent::page(&base, api, "app", state, Period::LONGEST);
        let page = self.browse(url.as_str()).await.unwrap_err();
        let link = page.split("<a ").find(|tag| tag.contains(&format!("id=\"{id}\""))).unwrap();
        let link = link.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
        self.browse(&format!("http://localhost{link}")).await
    }
}

fn clean<T>(read: Read<T>) -> T {
    assert_eq!(read.oddities, []);
    read.value
}

#[tokio::test]
async fn both_apis_lead_to_the_same_contract() {
    for shape in [Shape::Usual, Shape::Scalar, Shape::Object, Shape::List] {
        let contract = ContractSpec {
            subscribed_kva: Some(9),
            off_peak: vec![OffPeakSlot { from: 88, to: 418 }, OffPeakSlot { from: 1380, to: 60 }],
            tariff_changed_on: Some("2025-08-01".parse().unwrap()),
            power_changed_on: Some("2025-09-01".parse().unwrap()),
            shape,
            ..ContractSpec::default()
        };
        let meter = MeterSpec {
            contract,
            consumption_since: Some("2024-07-10".parse().unwrap()),
            production_since: Some("2025-01-15".parse().unwrap()),
            ..MeterSpec::new(prm()).kind(MeterKind::Both)
        };
        let stage = Stage::of(World::new(7).with(meter)).await;
        let old = clean(customer::contract(&stage.ask(CustomerCall::Contracts).await, &prm()).unwrap());
        let situation = clean(customer::situation(&stage.ask(CustomerCall::Situation).await, &prm()).unwrap());
        let synthesis = clean(customer::synthesis(&stage.ask(CustomerCall::Synthesis).await).unwrap());
        let metering = clean(customer::metering(&stage.ask(CustomerCall::Metering).await).unwrap());
        let new = situation.contracts.and(synthesis).and(metering);
        let of = |contracts: &Contracts| contracts.of(Direction::Consumption).unwrap().clone();
        let (before, after) = (of(&old), of(&new));
        assert_eq!((before.subscribed_va, &before.segment), (Some(9000), &Some("C5".to_owned())));
        assert_eq!((before.subscribed_va, &before.segment), (after.subscribed_va, &after.segment));
        assert_eq!((&before.off_peak, before.activated_on), (&after.off_peak, after.activated_on));
        assert_eq!(before.off_peak.unwrap().hours.unwrap().unwrap().to_string(), "HC (1H28-6H58;23H00-1H00)");
        assert_eq!((before.tariff.code, &old.meter_type), (after.tariff.code, &new.meter_type));
        assert_eq!(before.tariff_changed_on, Some("2025-08-01".parse().unwrap()));
        assert_eq!(after.power_changed_on, Some("2025-09-01".parse().unwrap()));
        let fed = new.of(Direction::Production).unwrap();
        assert_eq!((fed.segment.as_deref(), fed.activated_on), (Some("P4"), Some("2025-01-15".parse().unwrap())));
    }
}

#[tokio::test]
async fn both_apis_lead_to_the_same_person() {
    let stage = Stage::of(World::new(7).with(MeterSpec::new(prm()))).await;
    let situation = clean(customer::situation(&stage.ask(CustomerCall::Situation).await, &prm()).unwrap());
    let identity = clean(customer::identity(&stage.ask(CustomerCall::Identity).await).unwrap());
    let contact = clean(customer::contact(&stage.ask(CustomerCall::ContactData).await).unwrap());
    assert!(matches!(identity, Identity::Person(_)));
    assert_eq!(situation.identity, Some(identity));
    assert_eq!(situation.contact.unwrap().email, contact.email);
    let old = clean(customer::address(&stage.ask(CustomerCall::Addresses).await, &prm()).unwrap());
    let new = clean(customer::general_data(&stage.ask(CustomerCall::GeneralData).await).unwrap());
    let upper = |text: Option<Personal>| text.unwrap().reveal().to_uppercase();
    assert_eq!((upper(old.street), upper(old.city)), (upper(new.street), upper(new.city)));
    assert_eq!(old.postal_code, new.postal_code);
    let supply = clean(customer::supply(&stage.ask(CustomerCall::Supply).await).unwrap());
    assert_eq!((supply.wires, supply.consumption_va), (Some(2), Some(12_000)));
}

#[tokio::test]
async fn registers_give_the_daily_energy_by_class() {
    for (grid, stamp, classes) in [
        (Grid::OneClass, IndexStamp::Naive, 1),
        (Grid::TwoClasses, IndexStamp::Offset, 2),
        (Grid::Tempo, IndexStamp::Date, 6),
    ] {
        let mut meter = MeterSpec::new(prm()).kind(MeterKind::Both);
        meter.registers = RegisterSpec {
            since: Some("2026-10-01".parse().unwrap()),
            supplier: Some(grid),
            ..RegisterSpec::default()
        };
        let mut world = World::new(7).with(meter);
        world.rules.registers.stamp = stamp;
        world.rules.registers.with_end = true;
        let stage = Stage::of(world).await;
        // A day of 25 hours is among them.
        let days = Days::new("2026-10-20".parse().unwrap(), "2026-11-20".parse().unwrap()).unwrap();
        for direction in Direction::ALL {
            let decoded = stage.registers(direction, days).await;
            assert_eq!((decoded.anomalies.len(), decoded.missing, decoded.nothing), (0, 0, false));
            let found = by_class(&decoded.readings);
            assert_eq!(found.doubts, []);
            let daily = stage.simulator.world().daily(&prm(), direction, days, AsOf::Ever);
            assert_eq!(daily.len(), 31);
            for (day, wh) in daily {
                let of = |matches: fn(&Counts) -> bool| -> i64 {
                    found.energy.iter().filter(|e| e.day == day && matches(&e.counts)).map(|e| e.wh).sum()
                };
                let is = |counts: &Counts, letter| matches!(counts, Counts::Class { calendar, .. } if calendar.starts_with(letter));
                let supplier: i64 =
                    found.energy.iter().filter(|e| e.day == day && is(&e.counts, 'F')).map(|e| e.wh).sum();
                assert_eq!((of(|counts| *counts == Counts::Total), supplier), (wh, wh), "{direction:?} {day} {grid:?}");
            }
            let mut supplier: Vec<&Counts> = found.energy.iter().map(|e| &e.counts).collect();
            supplier.retain(|counts| matches!(counts, Counts::Class { calendar, .. } if calendar.starts_with('F')));
            supplier.dedup();
            assert_eq!(supplier.len(), if direction == Direction::Consumption { classes } else { 1 });
        }
    }
}

#[tokio::test]
async fn registers_agree_with_the_curve_divided_by_off_peak_hours() {
    let mut meter = MeterSpec::new(prm());
    meter.registers.since = Some("2026-10-01".parse().unwrap());
    let mut world = World::new(7).with(meter);
    world.rules.registers.with_end = true;
    let stage = Stage::of(world).await;
    let days = Days::new("2026-10-23".parse().unwrap(), "2026-10-28".parse().unwrap()).unwrap();
    let contract = clean(customer::contract(&stage.ask(CustomerCall::Contracts).await, &prm()).unwrap());
    let hours = contract.consumption.unwrap().off_peak.unwrap().hours.unwrap().unwrap();
    let points: Vec<_> = stage
        .simulator
        .world()
        .curve(&prm(), Direction::Consumption, days, AsOf::Ever)
        .into_iter()
        .map(|(start, minutes, watts)| {
            let step = linkyd::domain::Step::from_minutes(minutes).unwrap();
            linkyd::domain::CurvePoint { interval: linkyd::domain::Interval { start, step }, watts }
        })
        .collect();
    let split = hours.split(&points);
    assert_eq!(split.len(), 5);
    let found = by_class(&stage.registers(Direction::Consumption, days).await.readings);
    for day in split {
        let register = |class: &str| {
            let of = |counts: &Counts| matches!(counts, Counts::Class { calendar, class: c } if calendar.starts_with('D') && c == class);
            found.energy.iter().find(|e| e.day == day.day && of(&e.counts)).unwrap().wh
        };
        // Registers and curve are counted apart and differ by a few Wh.
        for (class, joules) in [("HP", day.peak_joules), ("HC", day.off_peak_joules)] {
            assert!((register(class) - joules / 3600).abs() <= 10, "{class} of {}", day.day);
        }
    }
}

#[tokio::test]
async fn a_consent_of_either_journey_opens_the_meter() {
    for api in [Api::V5, Api::V2026] {
        let meter = MeterSpec { consent: Consent::NEVER, ..MeterSpec::new(prm()).kind(MeterKind::Both) };
        let stage = Stage::of(World::new(7).with(meter)).await;
        let request = stage.enedis.customer_request(CustomerCall::Supply, &prm(), &stage.token);
        assert_eq!(stage.body(&request).await, Err("ADAM-DC-0008".to_owned()));

        let refused = stage.journey(api, &State::of([1; 16]), "refuse").await.unwrap();
        assert_eq!(consent::read_redirect(&refused, &State::of([1; 16]).expected()), Err(consent::Failed::Refused));
        let sent = State::of([2; 16]);
        let back = stage.journey(api, &sent, &format!("share-{PRM}")).await.unwrap();
        assert_eq!(consent::read_redirect(&back, &State::of([3; 16]).expected()), Err(consent::Failed::OtherState));
        match consent::read_redirect(&back, &sent.expected()).unwrap() {
            Given::Meters(prms) => assert_eq!((api, prms), (Api::V5, vec![prm()])),
            Given::Authorisation(id) => {
                assert_eq!(api, Api::V2026);
                let body = stage.body(&stage.enedis.list_services(id, &stage.token)).await.unwrap();
                let Standing::Granted(granted) = clean(services(&body).unwrap()).standing() else { panic!("granted") };
                assert_eq!((granted.prm, granted.until), (prm(), Some("2029-11-23".parse().unwrap())));
                for direction in Direction::ALL {
                    assert!(granted.measures.contains(&(Measure::Registers, direction)));
                }
                // A second time: the page has no way back.
                let page = stage.journey(api, &sent, &format!("share-{PRM}")).await.unwrap_err();
                assert!(page.contains("déjà partagé"), "{page}");
                stage.simulator.set_consent(&prm(), Consent::NEVER);
                let body = stage.body(&stage.enedis.list_services(id, &stage.token)).await.unwrap();
                assert_eq!(clean(services(&body).unwrap()).standing(), Standing::Ended);
                continue;
            }
        }
        assert!(stage.body(&request).await.is_ok());
        let reach = stage.enedis.reach(Dataset::DailyConsumption);
        assert!(reach.is_some(), "measures are asked for as before");
    }
}
