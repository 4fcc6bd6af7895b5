//! The first page: how every series stands, or how many of a fleet's stand how, for people; and the same as a
//! document.
//!
//! It is text in HTML, without scripts, images and anything from elsewhere.

use std::collections::HashSet;
use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Page;
use crate::cli::journeys::{self, Open};
use crate::cli::render::{Tone, number};
use crate::cli::status::fleet::{Fleet, InState};
use crate::cli::status::{self, View};
use crate::daemon::board::{Board, instant};
use crate::domain::{DayState, SeriesState, paris};
use crate::observe::mask;
use crate::source::catalogue;
use crate::store::{CustomerStatus, SeriesStatus, StoreError};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222;\
background:#fff}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}\
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ddd}td.n,th.n{text-align:right}\
.good{color:#176b2c}.warning{color:#8a5a00}.bad{color:#b00020}.faint{color:#666}footer{margin-top:2rem;color:#666}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#151515}th,td{border-color:#333}.good{color:#7bd88f}\
.warning{color:#e5b567}.bad{color:#ff7b8a}.faint,footer{color:#999}a{color:#8ab4f8}}";

/// How everything stands, with the consents whose meter is not known yet.
async fn gather<'b>(page: &Page, board: &'b Board, now: DateTime<Utc>) -> Result<(View<'b>, Vec<Open>), StoreError> {
    let view = View::gather(&*page.store, &board.config, board.left(), now, now).await?.with_wake(board.wake);
    let open = journeys::gather(&*page.store, now).await?;
    Ok((view, open.into_iter().map(Open::masked).collect()))
}

/// `/`
pub(super) async fn page(State(page): State<Page>) -> Response {
    let board = page.board.read();
    let now = page.clock.now();
    match gather(&page, &board, now).await {
        Ok((view, open)) => Html(html(&board, &view, &open, now)).into_response(),
        Err(error) => {
            let text = mask::digits(&error.to_string()).into_owned();
            let type_of = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            let body = document(&format!("<p class=bad>{}</p>", escape(&text)));
            (StatusCode::SERVICE_UNAVAILABLE, type_of, body).into_response()
        }
    }
}

/// `/status`: what `linkyd status --json` prints, with the numbers of meters and authorisations masked.
pub(super) async fn status(State(page): State<Page>) -> Response {
    let board = page.board.read();
    let now = page.clock.now();
    match gather(&page, &board, now).await {
        Ok((view, open)) => {
            let mut document = view.document(true);
            mask_meters(&mut document);
            if let Some(object) = document.as_object_mut() {
                object.insert("open_consents".to_owned(), open.iter().map(Open::document).collect());
                object.insert("now".to_owned(), json!(board.line()));
            }
            Json(document).into_response()
        }
        Err(error) => {
            let text = mask::digits(&error.to_string()).into_owned();
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"error": text}))).into_response()
        }
    }
}

fn mask_meters(document: &mut Value) {
    for list in ["meters", "not_asked"] {
        for meter in document.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(prm) = meter.get_mut("prm") {
                *prm = json!(mask::digits(prm.as_str().unwrap_or_default()));
            }
        }
    }
}

fn html(board: &Board, view: &View<'_>, open: &[Open], now: DateTime<Utc>) -> String {
    let mut body = format!("<p>{}.</p>", escape(board.line().trim_end_matches('.')));
    if let Some(last) = &board.last {
        let at = instant(last.ended).map(number::wall).unwrap_or_default();
        let _infallible = write!(body, "<p class=faint>Last pass {at} (Paris): {}.</p>", escape(&last.told));
    }
    if board.reloaded.problem.is_some() {
        body.push_str(
            "<p class=warning>The configuration from before is in force. The log says all that is wrong with the new one.</p>",
        );
    }
    for line in status::left(&view.backlog) {
        let _infallible = write!(body, "<p>{}</p>", escape(&line));
    }
    let consents = status::consents_of(view);
    match view.fleet() {
        Some(fleet) => many(&mut body, &fleet, view),
        None => few(&mut body, view),
    }
    for line in consents {
        let _infallible = write!(body, "<p>{}</p>", escape(line.trim_end()));
    }
    for one in open {
        let sentence = escape(&one.sentence(now));
        let _infallible = write!(body, "<p><b>{}</b>: {sentence}.</p>", escape(&one.source));
    }
    // Of a fleet only what is not well is worth a row.
    let few = view.fleet().is_none();
    customers(&mut body, view.customers.iter().filter(|one| few || one.state != SeriesState::Ok));
    let mut told: Vec<&str> = Vec::new();
    for one in &view.customers {
        if let Some(message) = one.message.as_deref().filter(|message| !told.contains(message)) {
            told.push(message);
            let name = escape(&format!("{}, {}", one.name, one.about));
            let _infallible = write!(body, "<p><b>{name}</b>: {}</p>", escape(message));
        }
    }
    body.push_str("<h2>Calls</h2><table><tr><th>Source<th class=n>Last hour<th class=n>Last 24 hours</tr>");
    let of = |used: i64, limit: Option<u32>| match limit {
        Some(limit) => format!("{} of {}", number::thousands(used), number::thousands(i64::from(limit))),
        None => number::thousands(used),
    };
    for source in &view.sources {
        for counter in &source.counters {
            let (limits, spent) = (counter.limits, counter.spent);
            let (hour, day) = (of(spent.hour, limits.per_hour), of(spent.day, limits.per_day));
            let pool = if source.counters.len() > 1 { counter.pool.name() } else { "" };
            let name = escape(&source.name);
            let _infallible = write!(body, "<tr><td>{name} {pool}<td class=n>{hour}<td class=n>{day}</tr>");
        }
    }
    body.push_str("</table>");
    for (source, pause) in view.sources.iter().filter_map(|source| Some((source, source.pause.as_ref()?))) {
        let told = format!("Source {} {}", source.name, pause.sentence(&source.name));
        let _infallible = write!(body, "<p class=warning>{}</p>", escape(&mask::digits(&told)));
    }
    document(&body)
}

/// A row for each series, and what is to be said of them.
fn few(body: &mut String, view: &View<'_>) {
    rows(body, view.series.iter(), view);
    for stand_in in view.stand_ins() {
        let _infallible = write!(body, "<p class=warning>{}</p>", escape(&stand_in));
    }
    let mut told: HashSet<&str> = HashSet::new();
    for series in &view.series {
        if let Some(message) = series.message.as_deref().filter(|message| told.insert(message)) {
            let message = catalogue::named(message, &series.source);
            let _infallible = write!(body, "<p><b>{}</b>: {}</p>", escape(&series.name), escape(&message));
        }
    }
}

/// Of many meters, how many are how, and what is not well.
fn many(body: &mut String, fleet: &Fleet<'_>, view: &View<'_>) {
    body.push_str("<table><tr><th>State<th class=n>Series<th class=n>Meters</tr>");
    for InState { state, tone, series, meters } in &fleet.states {
        let (class, series, meters) = (class(*tone), number::thousands(*series), number::thousands(*meters));
        let _infallible = write!(body, "<tr><td class={class}>{state}<td class=n>{series}<td class=n>{meters}</tr>");
    }
    body.push_str("</table>");
    if !fleet.bad.is_empty() {
        body.push_str("<h2>Not well</h2>");
        rows(body, fleet.bad.iter().copied(), view);
    }
    if fleet.more_bad > 0 {
        let more = number::thousands(i64::try_from(fleet.more_bad).unwrap_or(i64::MAX));
        let _infallible =
            write!(body, "<p>… and {more} more: <code>linkyd status --failing</code> shows all of them.</p>");
    }
    for (message, concerned, _) in &fleet.notes {
        let (concerned, message) = (concerned.to_string(), message.trim_end_matches('.'));
        let _infallible = write!(body, "<p><b>{}</b>: {}.</p>", escape(&concerned), escape(message));
    }
    if fleet.more_notes > 0 {
        let _infallible = write!(body, "<p>… and {} more messages.</p>", fleet.more_notes);
    }
}

/// A table of series.
fn rows<'s>(body: &mut String, series: impl Iterator<Item = &'s SeriesStatus>, view: &View<'_>) {
    // As in `status`: who serves is worth a column where it can be one or the other.
    let choice = view.has_choice();
    let source = if choice { "<th>Source" } else { "" };
    let _infallible = write!(
        body,
        "<table><tr><th>Meter<th>Dataset<th>State<th>Newest<th>Oldest<th class=n>Complete<th class=n>Open\
         <th class=n>Absent{source}</tr>"
    );
    for series in series {
        row(body, series, view.is_late(series), choice);
    }
    body.push_str("</table>");
}

/// A table of what is kept of customers: that it is, and never what.
fn customers<'c>(body: &mut String, customers: impl Iterator<Item = &'c CustomerStatus>) {
    let mut rows = String::new();
    let day = |day: Option<crate::domain::Day>| day.map_or_else(|| "-".to_owned(), |day| day.to_string());
    for one in customers {
        let tone = match one.state {
            SeriesState::Failing | SeriesState::Suspended => "bad",
            SeriesState::Waiting => "warning",
            SeriesState::NotOffered => "faint",
            SeriesState::Ok => "good",
        };
        let _infallible = write!(
            rows,
            "<tr><td>{}<td>{}<td class={tone}>{}<td>{}<td>{}</tr>",
            escape(&one.name),
            one.about.name(),
            one.state.name().replace('_', " "),
            day(one.last_success_at.map(paris::day_of)),
            day(status::next_look(one)),
        );
    }
    if !rows.is_empty() {
        let head = "<tr><th>Meter<th>Dataset<th>State<th>Answered<th>Next look</tr>";
        let _infallible = write!(body, "<h2>Customers</h2><table>{head}{rows}</table>");
    }
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
        Tone::Faint => "faint",
        Tone::Plain => "plain",
    }
}

fn row(body: &mut String, series: &SeriesStatus, late: bool, choice: bool) {
    let (tone, state) = match series.state {
        SeriesState::Failing | SeriesState::Suspended => ("bad", series.state.name()),
        SeriesState::Waiting => ("warning", "waiting"),
        SeriesState::NotOffered => ("faint", "not offered"),
        SeriesState::Ok if late => ("warning", "late"),
        SeriesState::Ok => ("good", "ok"),
    };
    let count =
        |states: &[DayState]| number::thousands(states.iter().filter_map(|state| series.days.get(state)).sum::<i64>());
    let day = |day: Option<crate::domain::Day>| day.map_or_else(|| "-".to_owned(), |day| day.to_string());
    let source = if choice { format!("<td>{}", escape(&series.source)) } else { String::new() };
    let _infallible = write!(
        body,
        "<tr><td>{}<td>{}<td class={tone}>{state}<td>{}<td>{}<td class=n>{}<td class=n>{}<td class=n>{}{source}</tr>",
        escape(&series.name),
        series.dataset.name(),
        day(series.newest_day),
        day(series.oldest_day),
        count(&[DayState::Complete]),
        count(&[DayState::Missing, DayState::Partial, DayState::Pending]),
        count(&[DayState::Absent]),
    );
}

fn document(body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>linkyd</title><style>{STYLE}</style><h1>linkyd</h1>{body}\
         <footer>linkyd {} · <a href=/status>status</a> · <a href=/metrics>metrics</a></footer></html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Text for HTML: names of meters are the operator's, messages may quote a server.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escape("<b a='1'>\"&\n"), "&lt;b a=&#39;1&#39;&gt;&quot;&amp; ");
    }

    #[test]
    fn meters_are_masked_in_the_document() {
        let meter = json!({"prm": "01234567890123", "name": "Maison"});
        let mut document = json!({"meters": [meter.clone()], "not_asked": [meter]});
        mask_meters(&mut document);
        assert_eq!(document["not_asked"][0]["prm"], "…0123");
        assert_eq!(document["meters"][0]["prm"], "…0123");
    }
}
