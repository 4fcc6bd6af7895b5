//! `linkyd plan`: the calls that `sync` would make.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::ser::SerializeStruct as _;

use super::args::PlanArgs;
use super::render::{Align, Table, number};
use super::sources::PauseView;
use super::status::FEW;
use super::{Trouble, colours, wiring};
use crate::budget::Limits;
use crate::clock::{Calendar, Clock};
use crate::config::Loaded;
use crate::domain::{CustomerDataset, Day, Prm, SeriesState};
use crate::engine::prospect::{Ground, Outlook, PlannedCall, PlannedErrand, outlook};
use crate::engine::serving::Moment;
use crate::exit::Exit;
use crate::plan::forecast::Forecast;
use crate::store::{Database, Facts, Spent};

/// What is said where there is nothing to do.
pub(super) const NOTHING: &str = "Nothing to fetch: everything that is published is here, or not due yet.";

pub(super) async fn plan(args: &PlanArgs, loaded: &Loaded, clock: Arc<dyn Clock>) -> Result<Exit, Trouble> {
    let config = &loaded.config;
    let mut selection = wiring::selection(&args.narrow, args.refetch, config)?;
    let machine = clock.now();
    let now_ms = machine.timestamp_millis();
    let now = Calendar::new(Arc::clone(&clock), args.at).now();
    let sources = wiring::sources(config)?;
    let mut spent = vec![Spent::default(); sources.len()];
    let limits: Vec<Limits> = sources.iter().map(|source| source.limits_of(source.history_pool())).collect();
    // Without a database everything is still to be fetched.
    let database = Database::open_if_there(&config.database.place, "linkyd plan", &clock).await?;
    let facts = if let Some(database) = database {
        let store = database.store();
        for (spent, source) in spent.iter_mut().zip(&sources) {
            *spent = store.spent(source.source.name(), source.history_pool(), now_ms).await?;
        }
        if args.narrow.which.failing {
            super::status::only_failing(&mut selection, &*store, config, now).await?;
        }
        store.facts(crate::engine::pass::midnight(now)).await?
    } else {
        Facts::default()
    };
    let pauses = pauses(&facts, machine);
    let kept = facts.series.iter().any(|s| matches!(s.state, SeriesState::Suspended | SeriesState::Failing));
    let moment = Moment { calendar: now, machine_ms: now_ms };
    let (meters, every) = (wiring::meters(config), wiring::every(config));
    let ground = Ground { sources: &sources, meters: &meters, every: &every, moment };
    let outlook: Outlook = outlook(&ground, facts, &spent, &selection);
    let (calls, forecasts) = (outlook.calls(), &outlook.forecasts);
    let of = |name: &str| forecasts.iter().find(|(source, _)| source == name).map(|(_, forecast)| forecast);
    let names = sources.iter().map(|source| source.source.name());
    let budget: Vec<Budget<'_>> = names
        .zip(limits)
        .zip(spent)
        .map(|((source, limits), spent)| {
            let errands = outlook.errands.iter().filter(|errand| errand.source == source);
            let errands: usize = errands.map(|errand| errand.calls).sum();
            let (calls, until) = of(source).map_or((0, None), |forecast| (forecast.calls, forecast.until));
            let until = until.unwrap_or(machine.timestamp());
            Budget { source, limits, spent, calls: count(calls.saturating_add(errands)), until }
        })
        .collect();
    let mut out = io::stdout().lock();
    if args.json {
        let at = now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let each = outlook.errands.iter().flat_map(|errand| std::iter::repeat_n(errand, errand.calls));
        let calls = calls.map(Planned::Measures).chain(each.map(Planned::Customer));
        let (total, forecast) = (calls.clone().count(), document(forecasts));
        super::print_json(&mut out, &Document { at, calls: Listed(calls), forecast, total })?;
    } else {
        let nothing = outlook.errands.is_empty() && calls.clone().next().is_none();
        let planned = (calls, &outlook.errands[..]);
        out.write_all(text(planned, kept, &budget, machine.timestamp(), (args.all, colours())).as_bytes())?;
        if !nothing {
            out.write_all(pauses.as_bytes())?;
        }
        for (source, forecast) in forecasts.iter().filter(|(_, forecast)| forecast.is_short()) {
            writeln!(out, "Source {source} is short of calls: {}.", forecast.sentence())?;
        }
    }
    Ok(Exit::Done)
}

/// The document of `plan --json`. Its calls are written one by one: those of a fleet would fill the memory.
#[derive(Serialize)]
struct Document<C> {
    at: String,
    calls: C,
    forecast: serde_json::Map<String, serde_json::Value>,
    total: usize,
}

/// A list that is made while it is written.
struct Listed<I>(I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for Listed<I> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// A planned call of either kind.
enum Planned<'a> {
    Measures(PlannedCall<'a>),
    Customer(&'a PlannedErrand),
}

impl Serialize for Planned<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let errand = match self {
            Self::Measures(call) => return call.serialize(serializer),
            Self::Customer(errand) => errand,
        };
        let mut call = serializer.serialize_struct("call", 5)?;
        call.serialize_field("dataset", errand.about.name())?;
        call.serialize_field("end", &None::<&str>)?;
        call.serialize_field("prm", errand.prm.full())?;
        call.serialize_field("reason", "customer")?;
        call.serialize_field("start", &None::<&str>)?;
        call.end()
    }
}

impl Serialize for PlannedCall<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut call = serializer.serialize_struct("call", 5)?;
        call.serialize_field("dataset", self.dataset.name())?;
        call.serialize_field("end", &self.days.end().to_string())?;
        call.serialize_field("prm", self.prm.full())?;
        call.serialize_field("reason", self.reason.name())?;
        call.serialize_field("start", &self.days.first().to_string())?;
        call.end()
    }
}

/// What is to be expected, by the name of the source.
fn document(forecasts: &[(String, Forecast)]) -> serde_json::Map<String, serde_json::Value> {
    forecasts.iter().map(|(source, forecast)| (source.clone(), forecast.document())).collect()
}

/// What a source may still be asked of its history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget<'a> {
    pub(super) source: &'a str,
    pub(super) limits: Limits,
    pub(super) spent: Spent,
    /// Calls that are planned.
    pub(super) calls: i64,
    /// When the last of them can be made (seconds since 1970).
    pub(super) until: i64,
}

/// What a person reads at `now` (machine). Of many meters only the datasets have a line each, unless `all`
/// are asked for.
pub(super) fn text<'a>(
    (calls, errands): (impl Iterator<Item = PlannedCall<'a>> + Clone, &[PlannedErrand]),
    kept: bool,
    budget: &[Budget<'_>],
    now: i64,
    (all, colours): (bool, bool),
) -> String {
    let no_measures = calls.clone().next().is_none();
    let nothing = no_measures && errands.is_empty();
    if nothing && kept {
        return "No call can be made now for what is missing: `linkyd status` says why.\n".to_owned();
    }
    if nothing {
        return format!("{NOTHING}\n");
    }
    let meters: HashSet<&Prm> = calls.clone().map(|call| call.prm).collect();
    let many = meters.len() > FEW && !all;
    let columns = [(if many { "METERS" } else { "METER" }, if many { Align::Right } else { Align::Left })];
    let rest = [
        ("DATASET", Align::Left),
        ("CALLS", Align::Right),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("WHY", Align::Left),
    ];
    let mut table = Table::new(columns.into_iter().chain(rest));
    for line in lines(calls, many) {
        table.row([
            if many { number::thousands(count(line.meters.len())).into() } else { line.call.name.into() },
            line.call.dataset.name().into(),
            number::thousands(line.calls).into(),
            line.first.to_string().into(),
            line.end.plus(-1).to_string().into(),
            line.why.join(", ").replace('_', " ").into(),
        ]);
    }
    let mut text = if no_measures { String::new() } else { table.render(0, colours) };
    if !errands.is_empty() {
        let between = if text.is_empty() { "" } else { "\n" };
        let _infallible = write!(text, "{between}{}", about_customers(errands));
    }
    for budget in budget.iter().filter(|budget| budget.calls > 0) {
        let _infallible = writeln!(text, "\n{}", forecast(*budget, now));
    }
    text
}

/// A line for each dataset about customers that is due.
fn about_customers(errands: &[PlannedErrand]) -> String {
    let mut text = String::new();
    for about in CustomerDataset::ALL {
        let due: Vec<_> = errands.iter().filter(|errand| errand.about == about).collect();
        if !due.is_empty() {
            let calls: usize = due.iter().map(|errand| errand.calls).sum();
            let of = number::counted(count(calls), "call", "calls");
            // One answer serves several of them.
            let of = if calls == 0 { "comes with another answer".to_owned() } else { of };
            let meters = number::counted(count(due.len()), "meter", "meters");
            let _infallible = writeln!(text, "{about}: {of} for {meters}.");
        }
    }
    text
}

/// What is planned of a series, or of a dataset of many meters.
struct Line<'a> {
    call: PlannedCall<'a>,
    meters: HashSet<&'a Prm>,
    calls: i64,
    first: Day,
    end: Day,
    why: Vec<&'static str>,
}

/// The calls by what they are for, in the order of the first of each.
fn lines<'a>(calls: impl Iterator<Item = PlannedCall<'a>>, many: bool) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut places = HashMap::new();
    for call in calls {
        let key = ((!many).then_some(call.prm), call.dataset);
        let place = *places.entry(key).or_insert_with(|| {
            let (first, end) = (call.days.first(), call.days.end());
            lines.push(Line { call, meters: HashSet::new(), calls: 0, first, end, why: Vec::new() });
            lines.len() - 1
        });
        let Some(line) = lines.get_mut(place) else { continue };
        line.meters.insert(call.prm);
        line.calls += 1;
        line.first = line.first.min(call.days.first());
        line.end = line.end.max(call.days.end());
        if !line.why.contains(&call.reason.name()) {
            line.why.push(call.reason.name());
        }
    }
    lines
}

/// A line for each source that makes every call wait.
fn pauses(facts: &Facts, now: DateTime<Utc>) -> String {
    let mut text = String::new();
    for source in &facts.sources {
        let Some(pause) = PauseView::of(&source.name, &source.state, now) else { continue };
        let _infallible = writeln!(text, "Source {} {}", source.name, pause.sentence(&source.name));
    }
    text
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// How long the calls of a source take within its limits, in a sentence.
fn forecast(budget: Budget<'_>, now: i64) -> String {
    let Budget { source, limits, spent, calls, until } = budget;
    let number = number::counted(calls, "call", "calls");
    let wait = Duration::from_secs((until - now).max(1).unsigned_abs());
    let left = |limit: Option<u32>, used: i64| limit.map(|limit| (i64::from(limit) - used).max(0));
    let mut budget = Vec::new();
    if let Some(hour) = left(limits.per_hour, spent.hour) {
        budget.push(format!("{} left this hour", number::thousands(hour)));
    }
    if let Some(day) = left(limits.per_day, spent.day) {
        budget.push(format!("{} left today", number::thousands(day)));
    }
    let budget = if budget.is_empty() { String::new() } else { format!(" ({})", budget.join(", ")) };
    format!("Source {source}: {number}, about {} within its limits{budget}.", number::duration(wait))
}
