//! `linkyd status`: what is there, what is missing and why.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use super::args::{StatusArgs, Which};
use super::render::{Align, Cell, Table, Tone, number};
use super::sources::{self, SourceView};
use super::{Trouble, colours, journeys, wiring};
use crate::clock::{Calendar, Clock};
use crate::config::{Config, Loaded, MeterConfig};
use crate::daemon::agenda::{Agenda, unasked, unseen};
use crate::daemon::asleep::Known;
use crate::daemon::backlog::Backlog;
use crate::daemon::reload::policy;
use crate::domain::{CustomerDataset, Dataset, Day, DayState, Prm, SeriesState, paris};
use crate::engine::knowledge::published_end;
use crate::engine::serving::Moment;
use crate::engine::{Selection, customers};
use crate::exit::Exit;
use crate::plan::wake::Wake;
use crate::source::catalogue;
use crate::store::{CustomerStatus, Database, Mode, SeriesStatus, SourceStatus, Store, StoreError};

pub(crate) mod fleet;
mod left;

pub(super) use fleet::{Concerned, FEW};
pub(crate) use left::left;

/// Days that a series may lag behind before it is late: a meter that reports a day late is usual.
const USUAL_LAG: i32 = 2;

pub(super) async fn status(args: &StatusArgs, loaded: &Loaded, clock: Arc<dyn Clock>) -> Result<Exit, Trouble> {
    let config = &loaded.config;
    let database = Database::open(&config.database.place, Mode::Read, "linkyd status", &clock).await?;
    let machine = clock.now();
    let now = Calendar::new(clock, args.at).now();
    wiring::refuse_unknown(&args.which.prms, config)?;
    let store = database.store();
    let moment = Moment { calendar: now, machine_ms: machine.timestamp_millis() };
    let (sources, meters) = (wiring::sources(config)?, wiring::meters(config));
    let backlog = Backlog::gather(&*store, &sources, &meters, &wiring::every(config), moment).await?;
    let mut view = View::gather(&*store, config, backlog, now, machine).await?;
    view.narrow(&args.which);
    let open = journeys::gather(&*store, machine).await?;
    let daemon = database.daemon_lives().await?;
    let mut out = io::stdout().lock();
    if args.json {
        let mut document = view.document(daemon);
        if let Some(object) = document.as_object_mut() {
            object.insert("open_consents".to_owned(), open.iter().map(journeys::Open::document).collect());
        }
        super::print_json(&mut out, &document)?;
    } else {
        // Who asks for what fails wants to read all of it.
        let text = if args.all || args.which.failing { view.full_text(colours()) } else { view.text(colours()) };
        out.write_all(text.as_bytes())?;
        for one in &open {
            writeln!(out, "{}: {}.", one.source, one.sentence(machine))?;
        }
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
    /// How what is kept of customers stands.
    pub(crate) customers: Vec<CustomerStatus>,
    /// How each source stands.
    pub(crate) sources: Vec<SourceView>,
    /// What is left to be fetched, of all series.
    pub(crate) backlog: Backlog,
    /// When a daemon that starts now makes its first pass.
    starts: Wake,
    /// When a daemon that is there makes its next one.
    sleeps: Wake,
    /// The series of the configuration that no pass has seen yet.
    unseen: Vec<(&'c MeterConfig, Dataset)>,
    /// The same of what is to be kept of customers.
    unasked: Vec<(&'c MeterConfig, CustomerDataset)>,
    /// What to say where nothing fits, if it is about some of the series.
    narrowed: Option<&'static str>,
}

impl<'c> View<'c> {
    /// Looks at the database. `now` is the calendar's, `machine` the machine's time.
    pub(crate) async fn gather(
        store: &dyn Store,
        config: &'c Config,
        backlog: Backlog,
        now: DateTime<Utc>,
        machine: DateTime<Utc>,
    ) -> Result<Self, StoreError> {
        let status = store.status().await?;
        let customers = store.customers().await?;
        let starts = Agenda::from_status(policy(config), &status, &customers, config).next(now.timestamp());
        let resting = store.sources().await?;
        let shift = (now - machine).num_seconds();
        let rest = |s: &SourceStatus| Some(s.state.not_before_ms?.div_euclid(1_000) + shift);
        let rests: Vec<_> = resting.iter().filter_map(|s| Some((s.name.as_str(), rest(s)?))).collect();
        let known = Known { series: &status, customers: &customers, rests: &rests, config };
        let sleeps = Agenda::asleep(policy(config), &known, now).next(now.timestamp());
        let sources = sources::gather(store, &wiring::counted(config), machine).await?;
        let unseen = unseen(&status, config);
        let unasked = unasked(&customers, config);
        let series = status.into_iter().map(|s| as_of(s, published_end(now))).collect();
        Ok(Self { config, now, series, customers, sources, backlog, starts, sleeps, unseen, unasked, narrowed: None })
    }

    /// Leaves only the series that were asked for.
    fn narrow(&mut self, which: &Which) {
        let (datasets, customers) = (which.datasets(), which.customers());
        let of = |prm: &Prm, named: bool| {
            (which.prms.is_empty() || which.prms.contains(prm)) && (which.named.is_empty() || named)
        };
        let fits = |prm: &Prm, dataset: Dataset| of(prm, datasets.contains(&dataset));
        let fits_customer = |prm: &Prm, about: CustomerDataset| of(prm, customers.contains(&about));
        let (config, now) = (self.config, self.now);
        self.series.retain(|s| fits(&s.prm, s.dataset) && (!which.failing || is_bad(s, config, now)));
        self.unseen.retain(|(meter, dataset)| fits(&meter.prm, *dataset));
        self.unasked.retain(|(meter, about)| fits_customer(&meter.prm, *about));
        self.customers.retain(|c| fits_customer(&c.prm, c.about) && (!which.failing || is_unwell(c)));
        self.narrowed = if which.failing {
            Some("No series is late, failing or suspended.")
        } else {
            (!which.prms.is_empty() || !which.named.is_empty()).then_some("No series is kept that fits.")
        };
    }

    /// What a daemon says of itself goes before what the database says of it.
    pub(crate) fn with_wake(mut self, wake: Option<Wake>) -> Self {
        self.sleeps = wake.unwrap_or(self.sleeps);
        self
    }

    /// The document of `status --json`, beside a daemon or where there is none.
    pub(crate) fn document(&self, daemon: bool) -> serde_json::Value {
        let mut document = document(&self.series, &self.customers, &self.sources, self.config, self.now);
        if let Some(object) = document.as_object_mut() {
            let wake = if daemon { self.sleeps } else { self.starts };
            let at = DateTime::from_timestamp(wake.at, 0).map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
            object.insert("daemon".to_owned(), json!(daemon));
            object.insert("next_wake".to_owned(), json!({"at": at, "why": wake.why.name()}));
            object.insert("backfill".to_owned(), left::document(&self.backlog));
            object.insert("not_asked".to_owned(), self.not_asked());
        }
        document
    }

    /// What no pass has asked for yet.
    fn not_asked(&self) -> serde_json::Value {
        let value = |meter: &MeterConfig, dataset: &str| json!({"prm": meter.prm.full(), "name": meter.name, "dataset": dataset});
        let series = self.unseen.iter().map(|(meter, dataset)| value(meter, dataset.name()));
        series.chain(self.unasked.iter().map(|(meter, about)| value(meter, about.name()))).collect()
    }

    /// The same as a document of many meters for people: how many series are how, those that need attention, and
    /// each trouble once; `None` where there are few enough for a line each.
    pub(crate) fn fleet(&self) -> Option<fleet::Fleet<'_>> {
        fleet::is_one(&self.series).then(|| fleet::Fleet::of(&self.page(false)))
    }

    /// What a person reads: of many meters, how many are how and what needs attention.
    pub(crate) fn text(&self, colours: bool) -> String {
        let page = self.page(colours);
        if fleet::is_one(&self.series) { fleet::text(&page) } else { text(&page) }
    }

    /// The same with a line for each series, however many there are.
    fn full_text(&self, colours: bool) -> String {
        text(&self.page(colours))
    }

    fn page(&self, colours: bool) -> Page<'_> {
        Page {
            series: &self.series,
            customers: &self.customers,
            unseen: &self.unseen,
            unasked: &self.unasked,
            sources: &self.sources,
            backlog: &self.backlog,
            config: self.config,
            now: self.now,
            narrowed: self.narrowed,
            colours,
        }
    }

    /// The sources that stand in for preferred ones, a sentence each.
    pub(crate) fn stand_ins(&self) -> Vec<String> {
        left::stand_ins(&self.series, self.config)
    }

    /// Whether series can be served by one source or another.
    pub(crate) fn has_choice(&self) -> bool {
        left::has_choice(self.config)
    }

    /// Whether a series is complete up to where it can be expected to be.
    pub(crate) fn is_late(&self, series: &SeriesStatus) -> bool {
        is_late(series, self.config, self.now)
    }

    /// Whether something is late, failing, suspended, or was never asked for.
    pub(crate) fn is_bad(&self) -> bool {
        // What no pass has asked for yet is late as well.
        !self.unseen.is_empty()
            || !self.unasked.is_empty()
            || self.series.iter().any(|s| is_bad(s, self.config, self.now))
            || self.customers.iter().any(is_unwell)
    }

    /// When the daemon looks again.
    fn next_pass(&self) -> String {
        let at = DateTime::from_timestamp(self.sleeps.at, 0).unwrap_or(self.now);
        if !self.unseen.is_empty() || !self.unasked.is_empty() {
            // It is in its memory what it knows of the configuration, and of what was kept when it last looked.
            "The daemon has not asked for all of that yet: a new configuration it reads on SIGHUP, and a pass begins on \
             SIGUSR1, or else next morning."
                .to_owned()
        } else if at <= self.now {
            "The daemon is at work, or about to be.".to_owned()
        } else {
            format!("The daemon's next pass: {} (Paris).", number::wall(at))
        }
    }
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

/// Narrows a pass to what `status --failing` shows at `now` (calendar), of what it was narrowed to before.
pub(super) async fn only_failing(
    selection: &mut Selection,
    store: &dyn Store,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let failing = failing(store, config, now).await?;
    // Where nothing but what is about customers was named, there is an empty list already.
    selection.only.get_or_insert(failing);
    let customers = store.customers().await?;
    let never = unasked(&customers, config).into_iter().map(|(meter, about)| (meter.prm.clone(), about));
    let bad = customers.iter().filter(|one| is_unwell(one)).map(|one| (one.prm.clone(), one.about));
    selection.only_customers = Some(never.chain(bad).collect());
    Ok(())
}

/// The series that are late, failing or suspended, or were never asked.
pub(super) async fn failing(
    store: &dyn Store,
    config: &Config,
    now: DateTime<Utc>,
) -> Result<BTreeSet<(Prm, Dataset)>, StoreError> {
    let status = store.status().await?;
    let never = unseen(&status, config).into_iter().map(|(meter, dataset)| (meter.prm.clone(), dataset));
    let bad = status.iter().filter(|s| is_bad(s, config, now)).map(|s| (s.prm.clone(), s.dataset));
    Ok(never.chain(bad).collect())
}

/// Whether a series is late, failing or suspended.
fn is_bad(series: &SeriesStatus, config: &Config, now: DateTime<Utc>) -> bool {
    matches!(series.state, SeriesState::Failing | SeriesState::Suspended) || is_late(series, config, now)
}

/// Whether asking about a customer is failing or suspended, or was never answered and waits, which is late like a series
/// without any day.
fn is_unwell(one: &CustomerStatus) -> bool {
    match one.state {
        SeriesState::Failing | SeriesState::Suspended => true,
        SeriesState::Waiting => one.last_success_at.is_none(),
        SeriesState::Ok | SeriesState::NotOffered => false,
    }
}

/// The day from which something about a customer is asked for again.
pub(crate) fn next_look(one: &CustomerStatus) -> Option<Day> {
    match one.next_try_at {
        Some(at) => Some(paris::day_of(at)),
        None => customers::next_look(one.last_success_at),
    }
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

fn document(
    series: &[SeriesStatus],
    customers: &[CustomerStatus],
    sources: &[SourceView],
    config: &Config,
    now: DateTime<Utc>,
) -> serde_json::Value {
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
            "retry_helps": one.code.as_deref().and_then(catalogue::retry_helps),
            "source": one.source,
            "days": days,
            "lag_days": lag(one, now),
            "late": is_late(one, config, now),
            "last_success_at": one.last_success_at.and_then(rfc),
            "next_try_at": one.next_try_at.and_then(rfc),
        });
        // The lines of a meter stand together.
        match meters.last_mut().filter(|(m, _)| m.prm == one.prm) {
            Some((_, list)) => list.push(value),
            None => meters.push((one, vec![value])),
        }
    }
    let mut meters: Vec<_> = meters
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
    // What is kept of a customer has no days, and stands behind what has.
    let day = |day: Option<Day>| day.map(|day| day.to_string());
    for one in customers {
        let value = json!({
            "dataset": one.about.name(),
            "state": one.state.name(),
            "newest_day": null,
            "oldest_day": null,
            "gaps": 0,
            "error": one.message,
            "code": one.code,
            "retry_helps": one.code.as_deref().and_then(catalogue::retry_helps),
            "source": one.source,
            "days": {},
            "lag_days": null,
            "late": false,
            "last_success_at": one.last_success_at.and_then(rfc),
            "next_try_at": one.next_try_at.and_then(rfc),
            "next_look": day(next_look(one)),
        });
        let known = meters.iter_mut().find(|meter| meter["prm"] == one.prm.full());
        match known.and_then(|meter| meter.get_mut("datasets")).and_then(serde_json::Value::as_array_mut) {
            Some(datasets) => datasets.push(value),
            None => meters.push(json!({
                "prm": one.prm.full(), "name": one.name, "datasets": [value], "consent_until": null,
            })),
        }
    }
    let budget: Vec<_> = sources.iter().flat_map(SourceView::budget).collect();
    json!({"at": now.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), "meters": meters, "budget": budget})
}

/// What a text is about.
pub(super) struct Page<'a> {
    /// The lines.
    pub(super) series: &'a [SeriesStatus],
    /// The lines about customers.
    pub(super) customers: &'a [CustomerStatus],
    /// The series that no pass has seen yet.
    pub(super) unseen: &'a [(&'a MeterConfig, Dataset)],
    /// The same of what is to be kept of customers.
    pub(super) unasked: &'a [(&'a MeterConfig, CustomerDataset)],
    /// How each source stands.
    pub(super) sources: &'a [SourceView],
    /// What is left to be fetched.
    pub(super) backlog: &'a Backlog,
    /// What is configured.
    pub(super) config: &'a Config,
    /// The calendar's instant.
    pub(super) now: DateTime<Utc>,
    /// What to say where nothing fits, if it is about some of the series.
    pub(super) narrowed: Option<&'static str>,
    /// Whether it may be coloured.
    pub(super) colours: bool,
}

impl Page<'_> {
    /// What a series is called, and how that looks.
    fn state(&self, one: &SeriesStatus) -> (String, Tone) {
        let late = is_late(one, self.config, self.now);
        let tone = match one.state {
            SeriesState::Failing | SeriesState::Suspended => Tone::Bad,
            SeriesState::Waiting => Tone::Warning,
            SeriesState::NotOffered => Tone::Faint,
            SeriesState::Ok if late => Tone::Warning,
            SeriesState::Ok => Tone::Good,
        };
        let late = late && one.state == SeriesState::Ok;
        (if late { "late".to_owned() } else { one.state.name().replace('_', " ") }, tone)
    }

    /// A line for each of these series.
    fn table<'s>(&self, series: impl Iterator<Item = &'s SeriesStatus>) -> String {
        let choice = left::has_choice(self.config);
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
        for one in series {
            let (state, tone) = self.state(one);
            let day = |day: Option<Day>| day.map_or_else(|| "-".to_owned(), |d| d.to_string());
            let open = days(one, &OPEN);
            let mut cells = vec![
                one.name.as_str().into(),
                one.dataset.name().into(),
                Cell::toned(state, tone),
                day(one.newest_day).into(),
                day(one.oldest_day).into(),
                number::thousands(days(one, &[DayState::Complete])).into(),
                Cell::toned(number::thousands(open), if open > 0 { Tone::Warning } else { Tone::Plain }),
                number::thousands(days(one, &[DayState::Absent])).into(),
            ];
            if choice {
                cells.push(one.source.as_str().into());
            }
            table.row(cells);
        }
        table.render(0, self.colours)
    }

    /// A line for each thing that is kept of a customer: that it is, and never what.
    fn customers_table(&self) -> String {
        let columns = ["METER", "DATASET", "STATE", "ANSWERED", "NEXT LOOK"];
        let mut table = Table::new(columns.map(|name| (name, Align::Left)).to_vec());
        for one in self.customers {
            let tone = match one.state {
                SeriesState::Failing | SeriesState::Suspended => Tone::Bad,
                SeriesState::Waiting => Tone::Warning,
                SeriesState::NotOffered => Tone::Faint,
                SeriesState::Ok => Tone::Good,
            };
            let day = |day: Option<Day>| day.map_or_else(|| "-".to_owned(), |day| day.to_string());
            table.row(vec![
                one.name.as_str().into(),
                one.about.name().into(),
                Cell::toned(one.state.name().replace('_', " "), tone),
                day(one.last_success_at.map(paris::day_of)).into(),
                day(next_look(one)).into(),
            ]);
        }
        table.render(0, self.colours)
    }

    /// The trouble of a series, unless it is said of its source as a whole.
    fn trouble(&self, one: &SeriesStatus) -> Option<String> {
        let message = one.message.as_deref().map(|message| catalogue::named(message, &one.source))?;
        let said = |s: &SourceView| s.pause.as_ref().is_some_and(|p| p.reason == message.trim_end_matches('.'));
        (!self.sources.iter().any(said)).then_some(message)
    }

    /// What is left, and a line or more for each source.
    fn source_lines(&self) -> String {
        let left = left(self.backlog).into_iter().map(|line| line + "\n");
        left.chain(self.sources.iter().map(SourceView::lines)).collect()
    }
}

/// Days that may still come.
const OPEN: [DayState; 3] = [DayState::Missing, DayState::Partial, DayState::Pending];

/// How many days of a series are in one of these states.
fn days(series: &SeriesStatus, states: &[DayState]) -> i64 {
    states.iter().filter_map(|state| series.days.get(state)).sum()
}

pub(super) fn text(page: &Page<'_>) -> String {
    match page.narrowed {
        None if page.series.is_empty() && page.customers.is_empty() => {
            let spent = page.sources.iter().flat_map(|source| &source.counters).any(|counter| counter.spent.day > 0);
            let why = if spent { "Nothing is kept of these meters" } else { "No pass has been made yet" };
            return format!("{why}: run `linkyd sync`.\n");
        }
        Some(nothing)
            if page.series.is_empty()
                && page.unseen.is_empty()
                && page.customers.is_empty()
                && page.unasked.is_empty() =>
        {
            return format!("{nothing}\n");
        }
        _ => {}
    }
    let mut notes: Vec<(Note<'_>, Vec<&str>)> = Vec::new();
    for one in page.series {
        if let Some(message) = page.trouble(one) {
            let note = (one.name.as_str(), message, one.next_try_at);
            // Those of a meter stand together.
            match notes.iter_mut().rev().take_while(|(known, _)| known.0 == note.0).find(|(known, _)| *known == note) {
                Some((_, datasets)) => datasets.push(one.dataset.name()),
                None => notes.push((note, vec![one.dataset.name()])),
            }
        }
    }
    let mut text = if page.series.is_empty() { String::new() } else { page.table(page.series.iter()) };
    if !page.customers.is_empty() {
        let between = if text.is_empty() { "" } else { "\n" };
        let _infallible = write!(text, "{between}{}", page.customers_table());
    }
    let stand_ins = left::stand_ins(page.series, page.config);
    let unwell = !page.unasked.is_empty() || page.customers.iter().any(|one| one.state != SeriesState::Ok);
    if !text.is_empty() && (!notes.is_empty() || !page.unseen.is_empty() || !stand_ins.is_empty() || unwell) {
        text.push('\n');
    }
    for ((name, message, again), datasets) in notes {
        let again = again.and_then(|at| DateTime::from_timestamp(at, 0));
        let again = again.map(|at| format!(" Asked again {} (Paris).", number::wall(at))).unwrap_or_default();
        let (datasets, message) = (datasets.join(", "), message.trim_end_matches('.'));
        let _infallible = writeln!(text, "{name}, {datasets}: {message}.{again}");
    }
    for (meter, dataset) in page.unseen {
        let _infallible = writeln!(text, "{}, {}: not asked yet; run `linkyd sync`.", meter.name, dataset.name());
    }
    for (meter, about) in page.unasked {
        let _infallible = writeln!(text, "{}, {about}: not asked yet; run `linkyd sync`.", meter.name);
    }
    for one in page.customers.iter().filter(|one| one.state != SeriesState::Ok) {
        let again = one.next_try_at.and_then(|at| DateTime::from_timestamp(at, 0));
        let again = again.map(|at| format!(" Asked again {} (Paris).", number::wall(at))).unwrap_or_default();
        let message = one.message.as_deref().unwrap_or("waiting for the next pass").trim_end_matches('.');
        let _infallible = writeln!(text, "{}, {}: {message}.{again}", one.name, one.about);
    }
    for stand_in in stand_ins {
        let _infallible = writeln!(text, "{stand_in}");
    }
    let consents = consents(page, |_| true);
    if !consents.is_empty() {
        let _infallible = write!(text, "\n{}", consents.concat());
    }
    text.push('\n');
    text.push_str(&page.source_lines());
    text
}

/// What the page for people says of consents: all ends that are known, or of many meters the next ones.
pub(crate) fn consents_of(view: &View<'_>) -> Vec<String> {
    const MANY: usize = 10;
    let page = view.page(false);
    let few = view.fleet().is_none();
    let mut lines = consents(&page, |until| few || sources::Term::of(until, page.now) != sources::Term::Far);
    lines.truncate(if few { usize::MAX } else { MANY });
    lines
}

/// A line for each meter whose consent has a known end, of those that are wanted.
fn consents(page: &Page<'_>, wanted: impl Fn(DateTime<Utc>) -> bool) -> Vec<String> {
    let mut told: HashSet<&Prm> = HashSet::new();
    let mut lines = Vec::new();
    for one in page.series {
        let until = one.consent_until.and_then(|at| DateTime::from_timestamp(at, 0));
        let Some(until) = until.filter(|until| wanted(*until) && told.insert(&one.prm)) else { continue };
        lines.push(format!("{}: {}.\n", one.name, sources::ends("consent", until, page.now)));
    }
    lines
}
