//! `/metrics`: what is known, in the words of [`crate::observe::metrics`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Page;
use crate::cli::status::View;
use crate::daemon::board::Board;
use crate::domain::{CustomerDataset, Dataset, Day, DayState, SeriesState, paris};
use crate::observe::metrics::{self as names, Exposition};
use crate::source::{Reaction, catalogue};
use crate::store::{CallTally, DURATIONS_MS};

/// Meters beyond which single ones have no metrics of their own, and are told of together: by the day that nine of
/// ten have.
const MOST_METERS: usize = 50;

const SERIES_STATES: [SeriesState; 5] =
    [SeriesState::Ok, SeriesState::Suspended, SeriesState::NotOffered, SeriesState::Failing, SeriesState::Waiting];

/// `/metrics`
pub(super) async fn metrics(State(page): State<Page>) -> impl IntoResponse {
    let board = page.board.read();
    let now = page.clock.now();
    let mut all = Exposition::new();
    all.put(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
    // A database that cannot be read is a metric, not the end of all others.
    let view = View::gather(&*page.store, &board.config, board.left(), now, now).await;
    let tallies = page.tally.lock().await.of(&*page.store).await;
    if let Ok(view) = &view {
        series(&mut all, view);
        consents(&mut all, view);
    }
    backfill(&mut all, &board);
    if let Ok(tallies) = &tallies {
        calls(&mut all, tallies);
    }
    if let Ok(view) = &view {
        budget(&mut all, view);
    }
    daemon(&mut all, &board);
    all.put(&names::DATABASE_UP, &[], u8::from(view.is_ok() && tallies.is_ok()));
    if let Some(path) = &page.database {
        size(&mut all, path);
    }
    all.put(&names::DATABASE_ERRORS, &[], board.counts.database_errors);
    all.put(&names::RELOAD_SUCCESSFUL, &[], u8::from(board.reloaded.problem.is_none()));
    all.put(&names::RELOAD_TIME, &[], board.reloaded.success_at);
    process(&mut all, &board);
    ([(header::CONTENT_TYPE, names::MEDIA_TYPE)], all.finish())
}

fn series(all: &mut Exposition, view: &View<'_>) {
    let meters: BTreeSet<&str> = view.series.iter().map(|s| s.name.as_str()).collect();
    let mut newest: BTreeMap<(&str, Dataset), Vec<Option<Day>>> = BTreeMap::new();
    for one in &view.series {
        let meter = if meters.len() <= MOST_METERS { one.name.as_str() } else { "" };
        // A series that is not asked for says nothing about all others.
        let asked = !meter.is_empty() || !matches!(one.state, SeriesState::Suspended | SeriesState::NotOffered);
        if asked {
            newest.entry((meter, one.dataset)).or_default().push(one.newest_day);
        }
    }
    for ((meter, dataset), days) in newest {
        if let Some(day) = nine_of_ten(days) {
            all.put(&names::LATEST_INTERVAL_END, &[meter, dataset.name()], paris::start_of(day.next()));
        }
    }
    let datasets: Vec<Dataset> =
        Dataset::ALL.into_iter().filter(|d| view.series.iter().any(|s| s.dataset == *d)).collect();
    for dataset in &datasets {
        let of = view.series.iter().filter(|s| s.dataset == *dataset);
        if let Some(at) = of.filter_map(|s| s.last_success_at).max() {
            all.put(&names::LAST_SUCCESS, &[dataset.name()], at);
        }
    }
    for dataset in &datasets {
        for state in DayState::ALL.into_iter().filter(|state| *state != DayState::Complete) {
            let of = view.series.iter().filter(|s| s.dataset == *dataset);
            let days: i64 = of.filter_map(|s| s.days.get(&state)).sum();
            all.put(&names::DAYS, &[dataset.name(), state.name()], days);
        }
    }
    for dataset in &datasets {
        for state in SERIES_STATES {
            let count = view.series.iter().filter(|s| s.dataset == *dataset && s.state == state).count();
            all.put(&names::SERIES, &[dataset.name(), state.name()], count);
        }
    }
    for about in CustomerDataset::ALL {
        let of = || view.customers.iter().filter(|c| c.about == about);
        if let Some(at) = of().filter_map(|c| c.last_success_at).max() {
            all.put(&names::LAST_SUCCESS, &[about.name()], at);
        }
    }
    for about in CustomerDataset::ALL.into_iter().filter(|about| view.customers.iter().any(|c| c.about == *about)) {
        for state in SERIES_STATES {
            let count = view.customers.iter().filter(|c| c.about == about && c.state == state).count();
            all.put(&names::SERIES, &[about.name(), state.name()], count);
        }
    }
    for dataset in &datasets {
        let late = view.series.iter().filter(|s| s.dataset == *dataset && view.is_late(s)).count();
        all.put(&names::LATE_SERIES, &[dataset.name()], late);
    }
}

/// The day that nine of ten have. Who has none at all counts as having the oldest; where those are more than
/// a tenth there is no such day.
fn nine_of_ten(mut newest: Vec<Option<Day>>) -> Option<Day> {
    newest.sort_unstable();
    newest.get(newest.len() / 10).copied().flatten()
}

/// What is left. It needs no database: it was reckoned when that was last looked at.
fn backfill(all: &mut Exposition, board: &Board) {
    let backlog = board.left();
    all.put(&names::CALLS_LEFT, &[], backlog.calls);
    if let Some(until) = backlog.until {
        all.put(&names::BACKFILL_ETA, &[], until);
    }
    // Each dataset from the start on, so that an alert sees a rise from nothing.
    let configured: BTreeSet<Dataset> = board.config.meters.iter().flat_map(|m| m.datasets.iter().copied()).collect();
    for dataset in configured {
        all.put(&names::EXPIRING, &[dataset.name()], backlog.expiring.get(&dataset).copied().unwrap_or(0));
    }
}

/// The ends of consents, as far as they are known; of many meters those that end first.
fn consents(all: &mut Exposition, view: &View<'_>) {
    let ends: BTreeMap<&str, i64> =
        view.series.iter().filter_map(|s| Some((s.name.as_str(), s.consent_until?))).collect();
    let mut ends: Vec<(i64, &str)> = ends.into_iter().map(|(name, until)| (until, name)).collect();
    ends.sort_unstable();
    for (until, name) in ends.into_iter().take(MOST_METERS) {
        all.put(&names::CONSENT_EXPIRY, &[name], until);
    }
}

fn calls(all: &mut Exposition, tallies: &[CallTally]) {
    let mut requests: BTreeMap<[&str; 4], i64> = BTreeMap::new();
    let mut durations: BTreeMap<[&str; 2], (i64, i64, [i64; 7])> = BTreeMap::new();
    for tally in tallies {
        let api = tally.api.as_deref().unwrap_or("token");
        let dataset = tally.dataset.unwrap_or_default();
        *requests.entry([&tally.source, api, dataset, outcome(tally)]).or_default() += tally.calls;
        // Where no answer came there is no duration of one.
        if tally.status.is_some() {
            let (count, ms, within) = durations.entry([&tally.source, api]).or_default();
            *count += tally.calls;
            *ms += tally.duration_ms;
            for (sum, more) in within.iter_mut().zip(tally.within) {
                *sum += more;
            }
        }
    }
    for (labels, count) in &requests {
        all.put(&names::REQUESTS, labels, count);
    }
    for (labels, (count, ms, within)) in &durations {
        let bounds = DURATIONS_MS.map(seconds);
        let buckets: Vec<(f64, i64)> = bounds.into_iter().zip(within.iter().copied()).collect();
        all.put_histogram(&names::REQUEST_SECONDS, labels, &buckets, *count, seconds(*ms));
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds with their thousandths, for reading")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// How a call ended, in a few words that alerts can name.
fn outcome(tally: &CallTally) -> &'static str {
    let code = tally.code.as_deref();
    if tally.answered {
        return if code.is_some() { "no_data" } else { "ok" };
    }
    match code.and_then(catalogue::reaction_of) {
        Some(Reaction::NoData) => "no_data",
        Some(Reaction::RetryAt(_) | Reaction::Burst) => "throttled",
        Some(Reaction::Reauth | Reaction::StopApp { .. } | Reaction::StopApi) => "auth",
        Some(Reaction::StopMeter(_)) => "consent",
        _ => match (tally.status, code) {
            (None, Some(crate::engine::react::NOT_MADE)) => "not_made",
            (None, _) => "network",
            (Some(500..), _) => "server",
            (Some(200..300), _) => "bad_body",
            (Some(_), _) => "rejected",
        },
    }
}

fn budget(all: &mut Exposition, view: &View<'_>) {
    for metric in [&names::BUDGET_LIMIT, &names::BUDGET_REMAINING] {
        for source in &view.sources {
            for counter in &source.counters {
                for (window, limit, used) in counter.windows() {
                    let limit_here = limit.map(i64::from);
                    let left = counter.left(limit, used);
                    let value = if *metric == names::BUDGET_LIMIT { limit_here } else { left };
                    if let Some(value) = value {
                        all.put(metric, &[&source.name, counter.pool.name(), window], value);
                    }
                }
            }
        }
    }
}

fn daemon(all: &mut Exposition, board: &Board) {
    let counts = board.counts;
    all.put(&names::POINTS, &["new"], counts.inserted);
    all.put(&names::POINTS, &["revised"], counts.changed);
    let results = [("done", counts.passes_done), ("later", counts.passes_later), ("failed", counts.passes_failed)];
    for (result, count) in results {
        all.put(&names::PASSES, &[result], count);
    }
    all.put(&names::PASS_RUNNING, &[], u8::from(board.running.is_some()));
    if let Some(last) = &board.last {
        all.put(&names::LAST_PASS, &[], last.ended);
    }
    if let Some(wake) = board.wake {
        all.put(&names::NEXT_RUN, &[], wake.at);
    }
    all.put(&names::CLOCK_JUMPS, &[], counts.clock_jumps);
}

/// Sizes by name alone: whoever opens and closes the file would drop the locks of SQLite.
fn size(all: &mut Exposition, path: &Path) {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    for (metric, path) in [(&names::DATABASE_SIZE, path), (&names::DATABASE_WAL, Path::new(&wal))] {
        if let Ok(metadata) = std::fs::metadata(path) {
            all.put(metric, &[], metadata.len());
        }
    }
}

/// What the kernel says about this process, where it says it.
fn process(all: &mut Exposition, board: &Board) {
    let (mut ticks, mut pages) = (None, None);
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat") {
        // The name may hold anything, so the fields are counted from behind its parenthesis.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok());
        ticks = number(11).zip(number(12)).map(|(user, system)| user + system);
        pages = number(21);
    }
    if let Some(ticks) = ticks.and_then(|ticks| i64::try_from(ticks).ok()) {
        // A hundred ticks a second, on every Linux.
        all.put(&names::CPU_SECONDS, &[], seconds(ticks * 10));
    }
    if let Some(pages) = pages {
        all.put(&names::RESIDENT, &[], pages * page_size());
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        all.put(&names::OPEN_FDS, &[], open.count());
    }
    all.put(&names::START_TIME, &[], board.started_at);
}

/// Bytes of a page of memory: what the kernel calls them in `smaps`, else what is usual.
fn page_size() -> u64 {
    static SIZE: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SIZE.get_or_init(|| {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        let line = smaps.lines().find_map(|line| line.strip_prefix("KernelPageSize:"));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.map_or(4_096, |kilobytes| kilobytes * 1_024)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_without_any_day_is_behind_all_others() {
        let day: Day = "2026-11-24".parse().unwrap();
        let of = |without: usize| nine_of_ten((0..20).map(|n| (n >= without).then_some(day)).collect());
        assert_eq!([of(0), of(2), of(3), of(10), of(20)], [Some(day), Some(day), None, None, None]);
        // A single meter has its own day.
        assert_eq!([nine_of_ten(vec![Some(day)]), nine_of_ten(vec![None])], [Some(day), None]);
    }
}
