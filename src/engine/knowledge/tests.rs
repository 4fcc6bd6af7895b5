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
    let part = Part {
        customers: Vec::new(),
        floors: BTreeMap::new(),
        series: Vec::new(),
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
