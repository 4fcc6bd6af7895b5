//! What a pass takes over from others, and what it counts.

use super::*;
use crate::store::SourceId;

const CURVE: Dataset = Dataset::ConsumptionLoadCurve;

fn source(learnt: Learnt) -> SourceFacts {
    let learnt = BTreeMap::from([(CURVE, learnt)]);
    SourceFacts {
        id: SourceId(1),
        name: "s".to_owned(),
        state: crate::store::SourceState::default(),
        learnt,
        closed: BTreeMap::new(),
    }
}

fn knowledge(every: BTreeMap<Dataset, i32>) -> Knowledge {
    knowledge_of(Vec::new(), every)
}

fn knowledge_of(series: Vec<SeriesFacts>, every: BTreeMap<Dataset, i32>) -> Knowledge {
    let part = Part {
        customers: Vec::new(),
        floors: BTreeMap::new(),
        series,
        source: source(Learnt::default()),
        activations: BTreeMap::new(),
        failed: Vec::new(),
        oldest_answered: BTreeMap::new(),
        asked: BTreeMap::from([(CURVE, 70), (Dataset::DailyMaxPower, 70)]),
        tokens: 1,
        widest: BTreeMap::new(),
        since: BTreeMap::new(),
    };
    Knowledge::new(part, every)
}

/// A series that is not offered, for the reason of that code.
fn not_offered(meter: i64, dataset: Dataset, code: &str) -> SeriesFacts {
    SeriesFacts {
        meter: MeterId(meter),
        prm: format!("{meter:014}").parse().unwrap(),
        name: format!("Maison {meter}"),
        dataset,
        source: SourceId(1),
        elsewhere: BTreeMap::new(),
        state: SeriesState::NotOffered,
        code: Some(code.to_owned()),
        not_before: None,
        last_success_at: None,
        seen: 0,
        days: crate::domain::Coverage::new(),
    }
}

/// The series that are asked for a test, by their place.
fn probed(knowledge: &Knowledge) -> Vec<usize> {
    let mut probing = std::collections::HashSet::new();
    let turns = knowledge.series.iter().enumerate();
    let turns = turns.map(|(index, series)| (index, knowledge.turn(index, series, &mut probing, 1_000)));
    turns.filter(|(_, turn)| *turn == crate::plan::Turn::Probe).map(|(index, _)| index).collect()
}

#[test]
fn one_probe_tells_for_all_meters_what_the_application_has_not_subscribed_to() {
    let peaks = Dataset::DailyMaxPower;
    let of_code = |code: &str| {
        let series = (1..=4).flat_map(|meter| [CURVE, peaks].map(|dataset| not_offered(meter, dataset, code)));
        knowledge_of(series.collect(), BTreeMap::new())
    };
    // One for each dataset, whoever's it is.
    let of_application = of_code("900908");
    assert_eq!(probed(&of_application), [0, 1]);
    let kin: Vec<usize> = of_application.kin(1).map(|(index, _)| index).collect();
    assert_eq!(kin, [1, 3, 5, 7], "its answer is everybody's, of that dataset alone");
    assert!(of_application.series.iter().all(|series| of_application.waits_for_all(series, 1_000)));
    // Until it is due, each meter can be planned without the others.
    let mut resting = of_application.series[0].clone();
    resting.not_before = Some(2_000);
    assert!(!of_application.waits_for_all(&resting, 1_000) && of_application.waits_for_all(&resting, 2_000));
    // What a meter lacks is found out meter by meter.
    let of_meters = of_code("ADAM-ERR0123");
    assert_eq!(probed(&of_meters), [0, 2, 4, 6]);
    assert!(!of_meters.waits_for_all(&of_meters.series[0], 1_000));
    assert_eq!(of_meters.kin(2).map(|(index, _)| index).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn what_new_days_take_depends_on_the_cadence() {
    assert_eq!(knowledge(BTreeMap::new()).daily, 140 + 1);
    assert_eq!(knowledge(BTreeMap::from([(CURVE, 7), (Dataset::DailyMaxPower, 30)])).daily, 10 + 3 + 1);
}

#[test]
fn a_limit_that_another_instance_has_learnt_comes_with_what_was_answered() {
    let mut knowledge = knowledge(BTreeMap::new());
    let learnt = Learnt { history_short: 100, ..Learnt::default() };
    let answered = vec![(1_790_000_000, Day::from_number(20_000))];
    let facts = Facts {
        sources: vec![source(learnt)],
        oldest_answered: BTreeMap::from([
            ((SourceId(1), CURVE), answered.clone()),
            ((SourceId(2), Dataset::DailyMaxPower), answered),
        ]),
        ..Facts::default()
    };
    knowledge.refresh(&facts, Duration::ZERO);
    assert!(knowledge.is_touched());
    assert!(knowledge.knows_answered(CURVE));
    assert!(!knowledge.knows_answered(Dataset::DailyMaxPower), "of another source");
}
