//! `linkyd status`: what is there, what is missing and why.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::args::StatusArgs;
use super::render::{Align, Cell, Table, Tone, number};
use super::sources::{self, SourceView};
use super::{Trouble, colours, wiring};
use crate::clock::{Calendar, Clock};
use crate::config::{Config, Loaded};
use crate::daemon::agenda::Agenda;
use crate::daemon::reload::policy;
use crate::domain::{Day, DayState, Prm, SeriesState};
use crate::engine::knowledge::published_end;
use crate::exit::Exit;
use crate::plan::wake::Wake;
use crate::source::catalogue;
use crate::store::sqlite::{Mode, SqliteStore};
use crate::store::{SeriesStatus, Store, StoreError, lock};

/// Days that a series may lag behind before it is late: a meter that reports a day late is usual.
const USUAL_LAG: i32 = 2;

pub(super) async fn status(args: &StatusArgs, loaded: &Loaded, clock: Arc<dyn Clock>) -> Result<Exit, Trouble> {
    let config = &loaded.config;
    let store = SqliteStore::open(&config.database.path, Mode::Read, "linkyd status").await?;
    let machine = clock.now();
    let now = Calendar::new(clock, args.at).now();
    let view = View::gather(&store, config, now, machine).await?;
    let daemon = lock::daemon_lives(&config.database.path);
    let mut out = io::stdout().lock();
    if args.json {
        let mut document = view.document();
        if let Some(object) = document.as_object_mut() {
            object.insert("daemon".to_owned(), json!(daemon));
        }
        writeln!(out, "{document:#}")?;
    } else {
        out.write_all(view.text(colours()).as_bytes())?;
        if daemon {
            writeln!(out, "{}", view.next_pass())?;
        }
    }
    Ok(if args.check && view.is_bad() { Exit::Failed } else { Exit::Done })
}

/// Everything that a status says, at one instant: for the command, the daemon's log and its page.
#[derive(Debug)]
pub(crate) struct View<'c> {
    config: &'c Config,
    now: DateTime<Utc>,
    /// The lines, with the days that were published since the last pass.
    pub(crate) series: Vec<SeriesStatus>,
    /// How each source stands.
    pub(crate) sources: Vec<SourceView>,
    wake: Wake,
}

impl<'c> View<'c> {
    /// Looks at the database. `now` is the calendar's, `machine` the machine's time.
    pub(crate) async fn gather(
        store: &dyn Store,
        config: &'c Config,
        now: DateTime<Utc>,
        machine: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let status = store.status().await?;
        let wake = Agenda::from_status(policy(config), &status, config).next(now.timestamp());
        let sources = sources::gather(store, &wiring::counted(config), machine).await?;
        let series = status.into_iter().map(|s| as_of(s, published_end(now))).collect();
        Ok(Self { config, now, series, sources, wake })
    }

    /// The document of `status --json`.
    pub(crate) fn document(&self) -> serde_json::Value {
        let mut document = document(&self.series, &self.sources, self.config, self.now);
        if let Some(object) = document.as_object_mut() {
            let at = DateTime::from_timestamp(self.wake.at, 0).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
            object.insert("next_wake".to_owned(), json!({"at": at, "why": self.wake.why.name()}));
        }
        document
    }

    /// What a person reads.
    pub(crate) fn text(&self, colours: bool) -> String {
        text(&self.series, &self.sources, self.config, self.now, colours)
    }

    /// Whether a series is complete up to where it can be expected to be.
    pub(crate) fn is_late(&self, series: &SeriesStatus) -> bool {
        is_late(series, self.config, self.now)
    }

    /// Whether some series is late, failing, suspended, or was never asked.
    pub(crate) fn is_bad(&self) -> bool {
        // A series that no pass has seen yet is late as well.
        let bad = |s: &SeriesStatus| matches!(s.state, SeriesState::Failing | SeriesState::Suspended);
        !unseen(&self.series, self.config).is_empty() || self.series.iter().any(|s| bad(s) || self.is_late(s))
    }

    /// When the daemon looks again.
    fn next_pass(&self) -> String {
        let at = DateTime::from_timestamp(self.wake.at, 0).unwrap_or(self.now);
        if at <= self.now {
            "The daemon is at work, or about to be.".to_owned()
        } else {
            format!("The daemon's next pass: {} (Paris).", number::wall(at))
        }
    }
}

/// The series of the configuration that no pass has seen yet.
fn unseen<'c>(series: &[SeriesStatus], config: &'c Config) -> Vec<(&'c str, &'static str)> {
    let wanted = config.meters.iter().flat_map(|meter| meter.datasets.iter().map(move |dataset| (meter, *dataset)));
    let unseen = wanted.filter(|(meter, dataset)| series.iter().all(|s| s.prm != meter.prm || s.dataset != *dataset));
    unseen.map(|(meter, dataset)| (meter.name.as_str(), dataset.name())).collect()
}

/// Adds the days that were published since the last pass: nobody has asked for them yet.
fn as_of(mut series: SeriesStatus, end: Day) -> SeriesStatus {
    let since = series.window_end.map_or(0, |known| end.since(known));
    if since > 0 && series.state != SeriesState::NotOffered {
        let asked = |state| series.days.get(&state).is_some_and(|days| *days > 0);
        let complete =
            series.newest_day.is_some() && series.newest_day == series.window_end.map(|known| known.plus(-1));
        // They lengthen a run of missing days, or begin one.
        if complete || asked(DayState::Pending) || asked(DayState::Partial) || !asked(DayState::Missing) {
            series.gaps += 1;
        }
        *series.days.entry(DayState::Missing).or_default() += i64::from(since);
    }
    series
}

/// Whether the newest complete day is older than can be explained.
fn is_late(series: &SeriesStatus, config: &Config, now: DateTime<Utc>) -> bool {
    if series.state == SeriesState::NotOffered {
        return false;
    }
    let patience = USUAL_LAG + config.schedule.every(series.dataset) - 1;
    lag(series, now).is_none_or(|days| days >= patience)
}

/// Days between the newest complete day and the newest published one.
fn lag(series: &SeriesStatus, now: DateTime<Utc>) -> Option<i32> {
    series.newest_day.map(|day| published_end(now).plus(-1).since(day).max(0))
}

/// A meter's name, its trouble, and when it is asked again.
type Note<'a> = (&'a str, String, Option<i64>);

fn document(series: &[SeriesStatus], sources: &[SourceView], config: &Config, now: DateTime<Utc>) -> serde_json::Value {
    let rfc =
        |epoch: i64| DateTime::from_timestamp(epoch, 0).map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    let mut meters: Vec<(&SeriesStatus, Vec<serde_json::Value>)> = Vec::new();
    for one in series {
        let day = |day: Option<Day>| day.map(|d| d.to_string());
        let days: serde_json::Map<String, serde_json::Value> =
            one.days.iter().map(|(state, count)| (state.name().to_owned(), json!(count))).collect();
        let value = json!({
            "dataset": one.dataset.name(),
            "state": one.state.name(),
            "newest_day": day(one.newest_day),
            "oldest_day": day(one.oldest_day),
            "gaps": one.gaps,
            "error": one.message,
            "code": one.code,
            "source": one.source,
            "days": days,
            "lag_days": lag(one, now),
            "late": is_late(one, config, now),
            "last_success_at": one.last_success_at.and_then(rfc),
            "next_try_at": one.next_try_at.and_then(rfc),
        });
        match meters.iter_mut().find(|(m, _)| m.prm == one.prm) {
            Some((_, list)) => list.push(value),
            None => meters.push((one, vec![value])),
        }
    }
    let meters: Vec<_> = meters
        .into_iter()
        .map(|(meter, datasets)| {
            json!({
                "prm": meter.prm.full(),
                "name": meter.name,
                "datasets": datasets,
                "consent_until": meter.consent_until.and_then(rfc),
            })
        })
        .collect();
    let budget: Vec<_> = sources.iter().flat_map(SourceView::budget).collect();
    json!({"at": now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), "meters": meters, "budget": budget})
}

pub(super) fn text(
    series: &[SeriesStatus],
    sources: &[SourceView],
    config: &Config,
    now: DateTime<Utc>,
    colours: bool,
) -> String {
    if series.is_empty() {
        return "No pass has been made yet: run `linkyd sync`.\n".to_owned();
    }
    // Who serves is worth a column where it can be one or the other.
    let choice = config.meters.iter().any(|meter| meter.sources.len() > 1);
    let mut columns = vec![
        ("METER", Align::Left),
        ("DATASET", Align::Left),
        ("STATE", Align::Left),
        ("NEWEST", Align::Left),
        ("OLDEST", Align::Left),
        ("COMPLETE", Align::Right),
        ("OPEN", Align::Right),
        ("ABSENT", Align::Right),
    ];
    if choice {
        columns.push(("SOURCE", Align::Left));
    }
    let mut table = Table::new(columns);
    // What is said of a source as a whole stands with the source.
    let said: Vec<&str> = sources.iter().filter_map(|s| Some(s.pause.as_ref()?.reason.as_str())).collect();
    let mut notes: Vec<(Note<'_>, Vec<&str>)> = Vec::new();
    for one in series {
        let late = is_late(one, config, now);
        let tone = match one.state {
            SeriesState::Failing | SeriesState::Suspended => Tone::Bad,
            SeriesState::Waiting => Tone::Warning,
            SeriesState::NotOffered => Tone::Faint,
            SeriesState::Ok if late => Tone::Warning,
            SeriesState::Ok => Tone::Good,
        };
        let state = one.state.name().replace('_', " ");
        let state = if late && one.state == SeriesState::Ok { "late".to_owned() } else { state };
        let count = |states: &[DayState]| states.iter().filter_map(|s| one.days.get(s)).sum::<i64>();
        let day = |day: Option<Day>| day.map_or_else(|| "-".to_owned(), |d| d.to_string());
        let open = count(&[DayState::Missing, DayState::Partial, DayState::Pending]);
        let mut cells = vec![
            one.name.as_str().into(),
            one.dataset.name().into(),
            Cell::toned(state, tone),
            day(one.newest_day).into(),
            day(one.oldest_day).into(),
            number::thousands(count(&[DayState::Complete])).into(),
            Cell::toned(number::thousands(open), if open > 0 { Tone::Warning } else { Tone::Plain }),
            number::thousands(count(&[DayState::Absent])).into(),
        ];
        if choice {
            cells.push(one.source.as_str().into());
        }
        table.row(cells);
        let message = one.message.as_deref().map(|message| catalogue::named(message, &one.source));
        if let Some(message) = message.filter(|m| !said.contains(&m.trim_end_matches('.'))) {
            let note = (one.name.as_str(), message, one.next_try_at);
            match notes.iter_mut().find(|(known, _)| *known == note) {
                Some((_, datasets)) => datasets.push(one.dataset.name()),
                None => notes.push((note, vec![one.dataset.name()])),
            }
        }
    }
    let mut text = table.render(0, colours);
    let unseen = unseen(series, config);
    if !notes.is_empty() || !unseen.is_empty() {
        text.push('\n');
    }
    for ((name, message, again), datasets) in notes {
        let again = again.and_then(|at| DateTime::from_timestamp(at, 0));
        let again = again.map(|at| format!(" Asked again {} (Paris).", number::wall(at))).unwrap_or_default();
        let (datasets, message) = (datasets.join(", "), message.trim_end_matches('.'));
        let _infallible = writeln!(text, "{name}, {datasets}: {message}.{again}");
    }
    for (name, dataset) in unseen {
        let _infallible = writeln!(text, "{name}, {dataset}: not asked yet; run `linkyd sync`.");
    }
    text.push_str(&consents(series, now));
    text.push('\n');
    for source in sources {
        text.push_str(&source.lines());
    }
    text
}

/// A line for each meter whose consent has a known end.
fn consents(series: &[SeriesStatus], now: DateTime<Utc>) -> String {
    let mut told: Vec<&Prm> = Vec::new();
    let mut text = String::new();
    for one in series {
        let until = one.consent_until.and_then(|at| DateTime::from_timestamp(at, 0));
        let Some(until) = until.filter(|_| !told.contains(&&one.prm)) else { continue };
        told.push(&one.prm);
        let _infallible = writeln!(text, "{}: {}.", one.name, sources::ends("consent", until, now));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}
