//! Any faults, in any order: once they stop, the database becomes the truth, and no wrong value is
//! ever stored on the way.

use linkyd::domain::{Api, Dataset, Days, Values};
use linkyd::simulator::{Action, AsOf, Envelope, Faults, Form, Match, MeterKind, MeterSpec, World};

use crate::support::{Rig, at, day, on_each_engine, one_in, prm};

on_each_engine! {
    any_schedule_of_faults_converges_to_the_truth_and_stores_nothing_wrong,
}

const METER: &str = "01234567890123";
const OTHER: &str = "09876543210987";
const SINCE: &str = "2026-08-15";

fn status(status: u16, envelope: Envelope, code: &str) -> Action {
    Action::Status { status, envelope, code: code.to_owned(), text: String::new() }
}

/// Everything that can go wrong with a call for a while.
fn actions() -> Vec<Action> {
    vec![
        status(500, Envelope::E1, "technical_error"),
        status(500, Envelope::E7, ""),
        status(503, Envelope::E8, ""),
        status(502, Envelope::E9, ""),
        status(400, Envelope::E1, "Invalid_request"),
        status(401, Envelope::E4, "900901"),
        status(401, Envelope::E3, "900903"),
        status(403, Envelope::E1, "ADAM-DC-0007"),
        status(403, Envelope::E1, "ADAM-DC-0008"),
        status(403, Envelope::E3, "900908"),
        status(403, Envelope::E3, "900907"),
        status(403, Envelope::E8, ""),
        status(404, Envelope::E1, "no_data_found"),
        status(404, Envelope::E8, ""),
        status(400, Envelope::E1, "ADAM-ERR0069"),
        status(400, Envelope::E1, "ADAM-ERR0075"),
        status(400, Envelope::E1, "ADAM-ERR0126"),
        status(200, Envelope::E8, ""),
        status(200, Envelope::E9, ""),
        status(200, Envelope::E1, "technical_error"),
        Action::Throttle { form: Form::RetryAfter, seconds: 20 },
        Action::Throttle { form: Form::NextAccessTime, seconds: 1_000 },
        Action::Throttle { form: Form::NegativeThreshold, seconds: 0 },
        Action::Throttle { form: Form::Burst, seconds: 0 },
        Action::Throttle { form: Form::Absurd, seconds: 0 },
        Action::Redirect { to: "https://elsewhere.example/".to_owned() },
        Action::Truncated,
        Action::InvalidUtf8,
        Action::WrongPrm,
        Action::WrongDays,
        Action::Shuffled,
        Action::Numbers,
        Action::Outside,
        Action::NoLength,
        Action::Length { text: "PT7M".to_owned() },
        Action::Value { json: "null".to_owned(), points: vec![1, 3] },
        Action::Value { json: "\"NaN\"".to_owned(), points: vec![2] },
        Action::Value { json: "-1".to_owned(), points: vec![0] },
        Action::DayLeftOut { day: None },
        Action::PartOfDay { day: None, points: 7 },
        Action::Duplicated { conflicting: false },
        Action::Slow { delay_ms: 35_000, jitter_ms: 100 },
    ]
}

/// Every value that is stored is the true one, of a day that was asked for.
async fn assert_nothing_wrong(rig: &Rig, seed: u64) {
    let world = rig.simulator.world();
    for meter in [METER, OTHER] {
        for dataset in [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption] {
            let direction = dataset.direction();
            let days = Days::new(day(SINCE), rig.window(dataset).end()).unwrap();
            match rig.database.readings(&prm(meter), dataset).await.unwrap() {
                Values::Curve(points) => {
                    let truth = world.curve(&prm(meter), direction, days, AsOf::Ever);
                    for point in points {
                        let step = i64::from(point.interval.step.minutes());
                        let right = truth.binary_search(&(point.interval.start, step, point.watts));
                        assert!(right.is_ok(), "seed {seed}: {point:?}");
                    }
                }
                Values::Energy(values) => {
                    let truth = world.daily(&prm(meter), direction, days, AsOf::Ever);
                    for value in values {
                        assert!(truth.contains(&(value.day, value.wh)), "seed {seed}: {value:?}");
                    }
                }
                Values::Peaks(_) | Values::Registers(_) => {}
            }
        }
    }
}

async fn any_schedule_of_faults_converges_to_the_truth_and_stores_nothing_wrong() {
    let actions = actions();
    for seed in (0..24).step_by(one_in(8)) {
        let mut chance = fastrand::Rng::with_seed(seed);
        let meter = MeterSpec::new(prm(METER)).kind(MeterKind::Both);
        let world = World::new(seed).with(meter).with(MeterSpec::new(prm(OTHER)));
        let datasets = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];
        let mut rig = Rig::new(world, &datasets, at("2026-11-24T08:30:00+01:00")).await.since(day(SINCE));
        rig.apis = [vec![Api::V5], vec![Api::V2026], vec![Api::V2026, Api::V5]][chance.usize(0..3)].clone();
        for _ in 0..6 {
            // A few kinds of fault a day, each for a share of the calls; together one in five, or
            // more than every second one.
            let share = if chance.bool() { 200 } else { 600 };
            let mut faults = Faults::none();
            let kinds = chance.u16(1..=5);
            for _ in 0..kinds {
                let action = actions[chance.usize(0..actions.len())].clone();
                faults = faults.with(Match { permille: Some(share / kinds), ..Match::any() }, action);
            }
            rig.simulator.set_faults(faults);
            let before = rig.calls();
            for _ in 0..chance.u32(1..6) {
                if chance.bool() {
                    rig.pass().await
                } else {
                    rig.sync().await
                };
                rig.advance(chance.u64(10..120));
            }
            assert!(rig.calls() - before <= 150, "seed {seed}: {} calls in a day", rig.calls() - before);
            assert_nothing_wrong(&rig, seed).await;
            rig.next_morning(8, 10);
        }
        rig.simulator.set_faults(Faults::none());
        // Tests of refusals are due within a week, days that were left out within a month.
        for later in 1..=33 {
            if later <= 9 || later % 6 == 0 {
                rig.pass().await;
            }
            rig.next_morning(8, 10);
        }
        rig.pass().await;
        println!("seed {seed}: {} calls, {} of them faulty", rig.calls(), rig.unsuccessful());
        for meter in [METER, OTHER] {
            rig.assert_true_since(&prm(meter), day(SINCE)).await;
        }
    }
}
