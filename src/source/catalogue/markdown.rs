//! The catalogue as a page: docs/errors.md.

use std::fmt::Write;

use crate::source::enedis::consent::Failed;
use crate::source::envelope::Shape;
use crate::source::{Reaches, Reaction};

use super::Front;
use super::gateways::GATEWAYS;
use super::outcomes::{OF_JOURNEYS, OF_PASSES, Outcome};
use super::table::{ANY, At, ROWS, Row};

const INTRODUCTION: &str = "\
# Errors and what linkyd does about them

This page is generated from the catalogue in `src/source/catalogue` (`table.rs`, `gateways.rs`). The test
`the_page_is_up_to_date` compares them; run it with `UPDATE_DOCS=1` after a change.

An answer is classified by where it came from, its HTTP status and its code, never by its message: the messages come
in two languages and change. Every refusal then has one form: its code, the meter and the dataset that were asked for (where
it was about one), whether asking again helps (`retry_helps` in the documents of `--json`), and what to do. Codes are written here as linkyd normalises them: upper case, `-` for `_`. The first row
that fits counts. Codes in lower case are linkyd's own.

Where a gateway stands between linkyd and Enedis, the rows of the gateways count before all others. \"A gateway, from
Enedis\" means an answer of Enedis that a gateway passed on. One text is looked at after all: Conso API has no codes,
and only its text tells a missing token (`conso_no_token`) from wrong parameters (`conso_invalid`).
";

const REACTIONS: &[(Reaction, &str)] = &[
    (Reaction::Reauth, "fetch a new token and ask again, once"),
    (Reaction::RetryShort, "ask again after some seconds or minutes, a few times; then as `retry_later`"),
    (Reaction::RetryLater, "ask again in a later pass"),
    (
        Reaction::RetryAt(None),
        "wait until the instant that the answer names; without one, or with one that has passed or lies more than 26 hours ahead, until the next full hour",
    ),
    (Reaction::Burst, "pause for some seconds and slow down"),
    (Reaction::Narrow, "ask for fewer days at once"),
    (Reaction::ClampHistory, "begin at the first day that the source still serves"),
    (Reaction::ClampActivation, "look for the first day of the meter, and begin there"),
    (Reaction::NoData, "nothing for these days; ask again on a widening schedule"),
    (Reaction::StopDataset, "this meter does not have the dataset; test again once a week"),
    (Reaction::StopApi, "the application may not use this API; others go on"),
    (Reaction::StopMeter(Reaches::Meter), "no calls for this meter, except one probe a day"),
    (Reaction::StopMeter(Reaches::Direction), "the same for one direction of the meter"),
    (Reaction::Ban, "no call at all for a week, or until `linkyd resume NAME`"),
    (Reaction::StopApp { credentials: false }, "no calls at all, except one probe every six hours"),
    (Reaction::StopApp { credentials: true }, "the same, because identifier or secret were refused"),
    (Reaction::Bug, "do not ask again; other days go on"),
];

/// Where to look for what an operator sees.
const SYMPTOMS: &[(&str, &[&str])] = &[
    ("Nothing comes at all, from no meter", &["dns", "unreachable", "proxy", "tls", "timeout", "900805", "900907"]),
    ("Identifier or secret are refused", &["INVALID-CLIENT", "UNAUTHORIZED", "900901"]),
    (
        "Calls are refused for being too many",
        &["900804", "900807", "QUOTA-Q3", "QUOTA-Q4", "RATE-LIMIT-EXCEEDED", "banned"],
    ),
    ("One dataset of every meter is `not_offered`", &["900908", "900909"]),
    ("One dataset of one meter is `not_offered`", &["ADAM-ERR0069", "ADAM-ERR0075", "BAD-REQUEST", "ADAM-ERR0123"]),
    (
        "A meter is `suspended`",
        &["ADAM-DC-0008", "ADAM-DC-0007", "ADAM-ERR0061", "STM-ERR-0000019", "UNAUTHORIZED-USER"],
    ),
    ("A meter that was shared just now is `failing`", &["consent_settling", "TECHNICAL-ERROR"]),
    (
        "A meter cannot be shared",
        &["consent_no_answer", "consent_refused", "consent_server_error", "consent_not_accepted", "consent_not_listed"],
    ),
    ("Days stay `pending`", &["NO-DATA-FOUND", "STM-ERR-0000014", "STM-ERR-0000020"]),
    ("History ends earlier than expected", &["ADAM-ERR0125", "ADAM-ERR0123", "ADAM-DC-0009"]),
    ("A web page comes instead of data", &["html", "redirect"]),
    (
        "The other side has a fault",
        &["TECHNICAL-ERROR", "ADAM-DC-0500", "101503", "303001", "cut", "empty", "undecodable"],
    ),
    ("Data of somebody else, or of other days", &["wrong_answer"]),
    ("linkyd asks wrongly", &["INVALID-REQUEST", "ADAM-ERR0002", "900902"]),
];

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## By symptom\n\n| what is seen | codes |\n| --- | --- |\n");
    for (symptom, codes) in SYMPTOMS {
        let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        line(&mut page, &[symptom, &codes.join(", ")]);
    }
    page.push_str(
        "\n## Reactions\n\n*Helps* says whether asking again does, without anybody doing something about it.\n\n| reaction | what linkyd does | helps |\n| --- | --- | --- |\n",
    );
    for (reaction, meaning) in REACTIONS {
        line(&mut page, &[&word(*reaction), meaning, yes(reaction.retry_helps())]);
    }
    let is_code = |row: &&Row| !row.code.is_empty() && row.at != At::Own;
    page.push_str(
        "\n## Codes\n\n*Data* are measures, and what is asked about a customer: contract, address, people, subscribed services. *Customer* is\nthe latter alone.\n\n| code | answer to | reaction | what happened, what to do |\n| --- | --- | --- | --- |\n",
    );
    for row in ROWS.iter().filter(is_code) {
        let code = as_shown(&format!("`{}`", row.code), row);
        line(&mut page, &[&code, at(row.at), &word(row.reaction), row.advice]);
    }
    page.push_str("\n## Answers of the gateways\n\nThe name is what the journal, the status and the metrics show instead of the code. Of two lines that fit, the one with a\ncode counts, else the first.\n\n| source | code | status | body | name | reaction | what happened, what to do |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    for (index, row) in GATEWAYS.iter().enumerate() {
        let same = |other: &&Row| {
            let named = !row.name.is_empty() && row.stored() == other.stored() && row.fronts == other.fronts;
            named && row.code.is_empty() == other.code.is_empty() && row.shapes == other.shapes
        };
        // Rows that differ in code or status alone make one line, where the first of them stands.
        if GATEWAYS.iter().take(index).any(|earlier| same(&earlier)) {
            continue;
        }
        let alike: Vec<&Row> = GATEWAYS.iter().filter(|other| std::ptr::eq(*other, row) || same(other)).collect();
        let each = |cell: fn(&Row) -> String| {
            let mut cells: Vec<String> = alike.iter().map(|row| cell(row)).collect();
            cells.dedup();
            cells.join(", ")
        };
        let name = format!("`{}`", row.stored());
        line(
            &mut page,
            &[&fronts(row), &each(code), &each(statuses), &shapes(row), &name, &word(row.reaction), row.advice],
        );
    }
    page.push_str("\n## Any other code, by status\n\n| status | body | answer to | reaction | what happened, what to do |\n| --- | --- | --- | --- | --- |\n");
    for row in ROWS.iter().filter(|row| row.code.is_empty()) {
        let status = as_shown(&statuses(row), row);
        line(&mut page, &[&status, &shapes(row), at(row.at), &word(row.reaction), row.advice]);
    }
    page.push_str(
        "\n## What linkyd finds itself\n\n| code | reaction | what happened, what to do |\n| --- | --- | --- |\n",
    );
    for row in ROWS.iter().filter(|row| row.at == At::Own) {
        line(&mut page, &[&format!("`{}`", row.code), &word(row.reaction), row.advice]);
    }
    page.push_str(
        "\n## What linkyd does not ask for\n\n| code | helps | what happened, what to do |\n| --- | --- | --- |\n",
    );
    outcome_lines(&mut page, &OF_PASSES);
    page.push_str(
        "\n## The consent journey\n\nWhat `linkyd authorize` ends with; its exit codes are in [consent.md](consent.md).\n\n| code | helps | what happened, what to do |\n| --- | --- | --- |\n",
    );
    for failed in Failed::every() {
        line(&mut page, &[&format!("`{}`", failed.code()), yes(failed.retry_helps()), &failed.to_string()]);
    }
    outcome_lines(&mut page, &OF_JOURNEYS);
    page
}

fn outcome_lines(page: &mut String, outcomes: &[Outcome]) {
    for outcome in outcomes {
        line(page, &[&format!("`{}`", outcome.code), yes(outcome.helps), outcome.advice]);
    }
}

fn yes(helps: bool) -> &'static str {
    if helps { "yes" } else { "no" }
}

fn line(page: &mut String, cells: &[&str]) {
    // Writing to a string cannot fail.
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn word(reaction: Reaction) -> String {
    let detail = match reaction {
        Reaction::StopMeter(Reaches::Direction) => " (direction)",
        Reaction::StopApp { credentials: true } => " (credentials)",
        _ => "",
    };
    format!("`{}`{detail}", reaction.name())
}

/// What a row is found by, and the name that is shown instead where it has one.
fn as_shown(found_by: &str, row: &Row) -> String {
    if row.name.is_empty() { found_by.to_owned() } else { format!("{found_by}, shown as `{}`", row.name) }
}

fn at(at: At) -> &'static str {
    match at {
        At::Data => "data",
        At::Customer => "customer",
        At::Token => "token",
        At::Both => "both",
        At::Own => "–",
    }
}

fn code(row: &Row) -> String {
    if row.code.is_empty() || row.at == At::Own { "any other".to_owned() } else { format!("`{}`", row.code) }
}

fn fronts(row: &Row) -> String {
    let name = |front: &Front| match front {
        Front::Enedis => "Enedis",
        Front::Relayed => "a gateway, from Enedis",
        Front::ConsoApi => "Conso API",
        Front::MyElectricalData => "MyElectricalData",
    };
    row.fronts.iter().map(name).collect::<Vec<_>>().join("; ")
}

fn statuses(row: &Row) -> String {
    if row.status == ANY {
        return "any".to_owned();
    }
    let (first, last) = (row.status.start(), row.status.end());
    if first == last { first.to_string() } else { format!("{first}–{last}") }
}

fn shapes(row: &Row) -> String {
    let name = |shape: &Shape| match shape {
        Shape::Empty => "empty",
        Shape::Json => "JSON",
        Shape::Html => "web page",
        Shape::Text => "text",
    };
    if row.shapes.is_empty() { "any".to_owned() } else { row.shapes.iter().map(name).collect::<Vec<_>>().join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_names_codes_that_the_page_explains() {
        let page = markdown();
        let (_, explained) = page.split_once("## Codes").unwrap();
        for code in SYMPTOMS.iter().flat_map(|(_, codes)| *codes) {
            assert!(explained.contains(&format!("`{code}`")), "{code}");
        }
    }

    #[test]
    fn the_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap();
        assert!(page == markdown(), "docs/errors.md is out of date: run this test with UPDATE_DOCS=1");
    }
}
