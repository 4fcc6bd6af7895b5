//! How long the calls of a fleet take to plan, and how much memory that needs.
//!
//! The facts are as a database tells them: two years of each series, complete but for yesterday, or with
//! holes, or nothing yet. Planning is everything between the facts and the calls in their order; planning
//! again is what one refusal among thousands of calls costs. Peaks are those of the process while it
//! happens, facts included.

#[path = "support/figures.rs"]
mod figures;
#[path = "support/fleet.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use linkyd::domain::{Coverage, Dataset, Day, DayRecord, DayState, Days, Prm, SeriesState, paris};
use linkyd::engine::knowledge::{Chosen, Knowledge, parts};
use linkyd::engine::{ActiveMeter, ActiveSource};
use linkyd::plan::{Allowance, order};
use linkyd::store::{Facts, MeterId, SeriesFacts, SourceFacts, SourceId, SourceState};

use figures::{Outcome, StopWatch, line, median};
use support::{THREE, enedis, forget_peak, memory};

/// Some morning.
const NOW: &str = "2026-11-24T07:30:00Z";

/// What ten thousand calls an hour leave.
const ALLOWANCE: Allowance = Allowance { today: 150_000, per_day: 200_000, newest: true };

/// Calls that are refused one after the other.
const REFUSALS: usize = 200;

/// What is known of a series.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// Everything but yesterday.
    AllButYesterday,
    /// The same, with twenty holes.
    Holes,
    /// Nothing.
    Nothing,
}

fn main() -> Outcome {
    line("Planning a fleet: seconds, and the most memory that the process took, facts included")?;
    line("meters x series   known                  calls      facts MB   plan s   peak MB   again ms")?;
    for (meters, datasets) in [(10_000, &THREE[..]), (100_000, &Dataset::COMMON[..])] {
        for known in [Known::AllButYesterday, Known::Holes, Known::Nothing] {
            if meters > 10_000 && matches!(known, Known::Nothing) {
                continue;
            }
            fleet(meters, datasets, known)?;
        }
    }
    Ok(())
}

fn fleet(meters: usize, datasets: &[Dataset], known: Known) -> Outcome {
    let now: DateTime<Utc> = NOW.parse()?;
    let source = enedis(10_000)?;
    forget_peak();
    let before = memory("VmRSS")?;
    let (facts, meters_configured) = facts(meters, datasets, known, &source, now)?;
    let held = memory("VmRSS")? - before;
    let sources = [source];
    let watch = StopWatch::default();
    let mut planned = None;
    for (active, part) in parts(&sources, &meters_configured, facts) {
        let knowledge = Knowledge::new(part, BTreeMap::new());
        let calls = knowledge.calls(active, &Chosen::default(), now);
        planned = Some((order::order(calls, Some(ALLOWANCE)), knowledge, active));
    }
    let took = watch.elapsed().as_secs_f64();
    let peak = memory("VmHWM")? - before;
    let (calls, knowledge, active) = planned.ok_or("one source")?;
    let mut again = Vec::new();
    let mut queue = VecDeque::from(calls);
    let refused: Vec<usize> = queue.iter().take(REFUSALS).map(|call| call.series).collect();
    for series in refused {
        let watch = StopWatch::default();
        let fresh = knowledge.calls_again(active, &Chosen::default(), now, &BTreeSet::from([series]));
        let (fresh, series) = fresh.ok_or("a meter can be planned alone")?;
        order::renew(&mut queue, fresh, &series, Some(ALLOWANCE));
        again.push(watch.elapsed().as_secs_f64() * 1e3);
    }
    let name = format!("{known:?}");
    let fleet = format!("{meters} x {}", datasets.len());
    line(&format!(
        "{fleet:<17} {name:<20} {:>9} {held:>10.0} {took:>10.2} {peak:>9.0} {:>10.3}",
        queue.len(),
        median(again)
    ))
}

fn facts(
    meters: usize,
    datasets: &[Dataset],
    known: Known,
    source: &ActiveSource,
    now: DateTime<Utc>,
) -> Outcome<(Facts, Vec<ActiveMeter>)> {
    let mut random = fastrand::Rng::with_seed(1);
    let today = paris::today(now);
    let mut facts = Facts::default();
    let id = SourceId(1);
    facts.sources.push(SourceFacts {
        closed: BTreeMap::new(),
        id,
        name: source.source.name().to_owned(),
        state: SourceState::default(),
        learnt: BTreeMap::new(),
    });
    let mut configured = Vec::with_capacity(meters);
    for n in 0..meters {
        let prm: Prm = format!("{:014}", 10_000_000_000_000 + n).parse()?;
        let name = format!("Lot {n}");
        for dataset in datasets {
            let reach = source.source.reach(*dataset).ok_or("Enedis offers it")?;
            let window = Days::new(reach.first_day(today), today).ok_or("a window")?;
            facts.series.push(SeriesFacts {
                meter: MeterId(i64::try_from(n)? + 1),
                prm: prm.clone(),
                name: name.clone(),
                dataset: *dataset,
                source: id,
                elsewhere: BTreeMap::new(),
                state: SeriesState::Ok,
                code: None,
                not_before: None,
                last_success_at: Some(now.timestamp() - 86_400),
                seen: 1,
                days: coverage(window, known, &mut random),
            });
        }
        let sources = vec![source.source.name().to_owned()];
        configured.push(ActiveMeter {
            prm,
            name,
            sources,
            datasets: datasets.to_vec(),
            customer: Vec::new(),
            since: None,
        });
    }
    Ok((facts, configured))
}

fn coverage(window: Days, known: Known, random: &mut fastrand::Rng) -> Coverage {
    let yesterday = (window.last(), DayRecord::missing());
    match known {
        Known::Nothing => Coverage::new(),
        Known::AllButYesterday => Coverage::of_window(Some(window), vec![yesterday]),
        Known::Holes => {
            let mut holes: BTreeMap<Day, DayRecord> = (0..20)
                .map(|_| window.first().plus(random.i32(0..window.len())))
                .map(|day| (day, DayRecord::missing()))
                .collect();
            let pending =
                DayRecord { state: DayState::Pending, checked_at: Some(1), next_try: Some(1), ..DayRecord::missing() };
            holes.insert(window.last().plus(-3), pending);
            holes.insert(yesterday.0, yesterday.1);
            Coverage::of_window(Some(window), holes.into_iter().collect())
        }
    }
}
