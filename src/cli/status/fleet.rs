//! The status of many meters: how many are how, and what needs attention.
//!
//! Nobody reads thirty thousand lines. A household's table says everything; beyond [`FEW`] meters
//! the text counts the series by their state, shows those that are late, failing or suspended, and
//! says each trouble once for all that have it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};

use chrono::DateTime;

use super::super::render::{Align, Cell, Table, Tone, number};
use super::super::sources::Term;
use super::{OPEN, Page, consents, days, is_bad};
use crate::domain::{DayState, Prm, SeriesState};
use crate::store::SeriesStatus;

/// The most meters of which each series gets its line.
pub(in crate::cli) const FEW: usize = 25;

/// How many lines of one sort are shown.
const SHOWN: usize = 40;

/// How many meters a line names.
const NAMED: usize = 3;

/// Whether these are too many meters for a line each.
pub(in crate::cli) fn is_one(series: &[SeriesStatus]) -> bool {
    // The lines of a meter stand together.
    let changes = series.windows(2).filter(|pair| matches!(pair, [one, next] if one.prm != next.prm)).count();
    changes >= FEW
}

/// Many meters, in figures and exceptions.
#[derive(Debug)]
pub(crate) struct Fleet<'a> {
    /// How many meters there are.
    pub(crate) meters: i64,
    /// The states that occur, the best first.
    pub(crate) states: Vec<InState>,
    /// The series that are late, failing or suspended, some of them.
    pub(crate) bad: Vec<&'a SeriesStatus>,
    /// How many more there are.
    pub(crate) more_bad: usize,
    /// Each trouble with the series that have it and when they are asked again, the most frequent first, some of
    /// them.
    pub(crate) notes: Vec<(String, Concerned<'a>, Option<i64>)>,
    /// How many more there are.
    pub(crate) more_notes: usize,
}

/// The series in a state.
#[derive(Debug)]
pub(crate) struct InState {
    /// Its name.
    pub(crate) state: String,
    /// How it looks.
    pub(crate) tone: Tone,
    /// How many series there are.
    pub(crate) series: i64,
    /// And of how many meters.
    pub(crate) meters: i64,
}

impl<'a> Fleet<'a> {
    /// Sums up.
    pub(in crate::cli) fn of(page: &Page<'a>) -> Self {
        let all = page.series;
        let mut bad = all.iter().filter(|s| is_bad(s, page.config, page.now));
        let shown: Vec<_> = bad.by_ref().take(SHOWN).collect();
        let mut notes = notes(page);
        let more_notes = notes.len().saturating_sub(SHOWN);
        notes.truncate(SHOWN);
        let meters: HashSet<&Prm> = all.iter().map(|one| &one.prm).collect();
        Self { meters: count(meters.len()), states: states(page), bad: shown, more_bad: bad.count(), notes, more_notes }
    }
}

/// What a person reads.
pub(in crate::cli) fn text(page: &Page<'_>) -> String {
    let fleet = Fleet::of(page);
    let mut text = summary(page, &fleet);
    if !fleet.bad.is_empty() {
        let _infallible = write!(text, "\n{}", page.table(fleet.bad.iter().copied()));
        if fleet.more_bad > 0 {
            let more = number::thousands(count(fleet.more_bad));
            let _infallible = writeln!(text, "… and {more} more: `linkyd status --failing` shows all of them.");
        }
    }
    if !fleet.notes.is_empty() {
        text.push('\n');
    }
    for (message, concerned, again) in &fleet.notes {
        let again = again.and_then(|at| DateTime::from_timestamp(at, 0));
        let again = again.map(|at| format!(" Asked again from {} (Paris) on.", number::wall(at))).unwrap_or_default();
        let _infallible = writeln!(text, "{concerned}: {}.{again}", message.trim_end_matches('.'));
    }
    if fleet.more_notes > 0 {
        let more = number::counted(count(fleet.more_notes), "more message", "more messages");
        let _infallible = writeln!(text, "… and {more}: `linkyd status --failing` shows all of them.");
    }
    let soon = consents(page, |until| Term::of(until, page.now) != Term::Far);
    if !soon.is_empty() {
        let _infallible = write!(text, "\n{}", soon.iter().take(SHOWN).map(String::as_str).collect::<String>());
        if soon.len() > SHOWN {
            let more = number::counted(count(soon.len() - SHOWN), "more consent ends", "more consents end");
            let _infallible = writeln!(text, "… and {more} soon: `linkyd status --all` shows all of them.");
        }
    }
    let _infallible = write!(text, "\n{}", page.source_lines());
    text
}

/// How many series are in which state, the best first.
fn states(page: &Page<'_>) -> Vec<InState> {
    const ORDER: [SeriesState; 5] =
        [SeriesState::Ok, SeriesState::Failing, SeriesState::Suspended, SeriesState::Waiting, SeriesState::NotOffered];
    let mut states: BTreeMap<(usize, String), (usize, HashSet<&Prm>, Tone)> = BTreeMap::new();
    for one in page.series {
        let (state, tone) = page.state(one);
        let order = ORDER.iter().position(|known| *known == one.state).unwrap_or(ORDER.len());
        // What is called late is late and nothing else, and comes after what is well.
        let order = 2 * order + usize::from(state == "late");
        let (series, theirs, _) = states.entry((order, state)).or_insert_with(|| (0, HashSet::new(), tone));
        *series += 1;
        theirs.insert(&one.prm);
    }
    let not_asked = page.unseen.len() + page.unasked.len();
    if not_asked > 0 {
        let unseen = page.unseen.iter().map(|(meter, _)| &meter.prm);
        let theirs = unseen.chain(page.unasked.iter().map(|(meter, _)| &meter.prm)).collect();
        let last = (usize::MAX, "not asked yet".to_owned());
        states.insert(last, (not_asked, theirs, Tone::Warning));
    }
    let in_state = |((_, state), (series, theirs, tone)): (_, (usize, HashSet<&Prm>, Tone))| InState {
        state,
        tone,
        series: count(series),
        meters: count(theirs.len()),
    };
    states.into_iter().map(in_state).collect()
}

/// The same as a table, and how many days there are.
fn summary(page: &Page<'_>, fleet: &Fleet<'_>) -> String {
    let mut table = Table::new([("STATE", Align::Left), ("SERIES", Align::Right), ("METERS", Align::Right)]);
    for InState { state, tone, series, meters } in &fleet.states {
        let (series, meters) = (number::thousands(*series), number::thousands(*meters));
        table.row([Cell::toned(state.as_str(), *tone), series.into(), meters.into()]);
    }
    let total = |states: &[DayState]| number::thousands(page.series.iter().map(|s| days(s, states)).sum());
    format!(
        "{}, {}: {} days complete, {} open, {} absent.\n\n{}",
        number::counted(fleet.meters, "meter", "meters"),
        number::counted(count(page.series.len()), "series", "series"),
        total(&[DayState::Complete]),
        total(&OPEN),
        total(&[DayState::Absent]),
        table.render(0, page.colours),
    )
}

/// Each trouble once, with the series that have it, the most frequent first.
fn notes<'a>(page: &Page<'a>) -> Vec<(String, Concerned<'a>, Option<i64>)> {
    let mut notes: BTreeMap<String, (Concerned<'a>, Option<i64>)> = BTreeMap::new();
    let all: &'a [SeriesStatus] = page.series;
    for one in all {
        if let Some(message) = page.trouble(one) {
            let (concerned, again) = notes.entry(message).or_default();
            concerned.add(&one.name);
            *again = again.iter().copied().chain(one.next_try_at).min();
        }
    }
    let mut notes: Vec<_> =
        notes.into_iter().map(|(message, (concerned, again))| (message, concerned, again)).collect();
    notes.sort_by_key(|(_, concerned, _)| Reverse(concerned.series()));
    notes
}

/// The series that a message concerns. `Display` names some of their meters and counts the rest:
/// `Lot 1, Lot 2, Lot 3 and 17 other meters, 40 series`.
#[derive(Debug, Default)]
pub(crate) struct Concerned<'a> {
    named: Vec<&'a str>,
    last: Option<&'a str>,
    meters: usize,
    series: usize,
}

impl<'a> Concerned<'a> {
    /// One more series of the meter of that name; those of a meter come one after the other.
    pub(in crate::cli) fn add(&mut self, name: &'a str) {
        self.series += 1;
        if self.last.replace(name) != Some(name) {
            self.meters += 1;
            self.named.extend((self.named.len() < NAMED).then_some(name));
        }
    }

    /// How many there are.
    pub(in crate::cli) fn series(&self) -> usize {
        self.series
    }
}

impl fmt::Display for Concerned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named.join(", "))?;
        let more = self.meters - self.named.len();
        if more > 0 {
            write!(f, " and {}", number::counted(count(more), "other meter", "other meters"))?;
        }
        write!(f, ", {}", number::counted(count(self.series), "series", "series"))
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
