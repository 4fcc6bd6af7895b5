//! Every row of the error catalogue that Enedis can send on a call for data: what the series is
//! called afterwards, what it costs, and that nobody else is touched.

use linkyd::domain::{Api, Dataset, SeriesState};
use linkyd::exit::Exit;
use linkyd::simulator::{Action, Envelope, Faults, Match, MeterKind, MeterSpec, World};

use crate::support::{Rig, at, day, on_each_engine, one_in, prm};

on_each_engine! {
    every_error_of_a_series_has_its_state_its_cost_and_touches_nobody_else,
    an_application_that_is_refused_stops_the_source_alone,
}

const ILL: &str = "01234567890123";
const WELL: &str = "09876543210987";
const ALL_WELL: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

/// One error: status, envelope, code, and what becomes of it.
#[derive(Clone, Copy)]
struct Row {
    status: u16,
    envelope: Envelope,
    code: &'static str,
    state: SeriesState,
    /// The code that `status` shows.
    shown: &'static str,
    exit: Exit,
    /// The most calls for the ill series in one pass.
    most: usize,
    /// Whether the other series of the meter is stopped too.
    reaches_other: bool,
}

impl Row {
    /// Whether it is about the application and the API, whatever meter is asked for.
    fn api_wide(&self) -> bool {
        ["900906", "900908", "900909", "http_410"].contains(&self.shown)
    }
}

fn row(status: u16, envelope: Envelope, code: &'static str, state: SeriesState, exit: Exit, most: usize) -> Row {
    Row { status, envelope, code, state, shown: code, exit, most, reaches_other: false }
}

fn shown(row: Row, shown: &'static str) -> Row {
    Row { shown, ..row }
}

fn whole_meter(row: Row) -> Row {
    Row { reaches_other: true, ..row }
}

/// Everything about a single series or meter; quotas, tokens and the application have tests of
/// their own.
fn rows() -> Vec<Row> {
    use Envelope::{E1, E2, E3, E4, E5, E6, E7, E8, E9, E10};
    use SeriesState::{Failing, NotOffered, Suspended};
    let mut rows = vec![
        // Consent and holder.
        whole_meter(row(403, E1, "ADAM-DC-0007", Suspended, Exit::Failed, 2)),
        whole_meter(row(400, E1, "ADAM-DC-0007", Suspended, Exit::Failed, 2)),
        whole_meter(row(403, E1, "ADAM-DC-0008", Suspended, Exit::Failed, 2)),
        whole_meter(shown(row(403, E1, "ADAM_DC_0008", Suspended, Exit::Failed, 2), "ADAM-DC-0008")),
        whole_meter(shown(row(403, E1, "unauthorized_user", Suspended, Exit::Failed, 2), "UNAUTHORIZED-USER")),
        whole_meter(row(400, E1, "ADAM-ERR0061", Suspended, Exit::Failed, 2)),
        whole_meter(row(404, E1, "STM-ERR-0000019", Suspended, Exit::Failed, 2)),
        whole_meter(row(400, E2, "ADAM-ERR0191", Suspended, Exit::Failed, 2)),
        whole_meter(shown(row(403, E1, "who knows", Suspended, Exit::Failed, 2), "WHO-KNOWS")),
        // Not offered.
        row(400, E1, "ADAM-ERR0069", NotOffered, Exit::Done, 1),
        row(400, E1, "ADAM-ERR0075", NotOffered, Exit::Done, 1),
        shown(row(400, E1, "Bad request", NotOffered, Exit::Done, 1), "BAD-REQUEST"),
        // Our own mistakes: not repeated on the same day.
        shown(row(400, E1, "Invalid_request", Failing, Exit::Failed, 3), "INVALID-REQUEST"),
        shown(row(400, E1, "invalid_resquest", Failing, Exit::Failed, 3), "INVALID-REQUEST"),
        row(400, E1, "ADAM-ERR0002", Failing, Exit::Failed, 3),
        shown(row(400, E1, "who knows", Failing, Exit::Failed, 3), "WHO-KNOWS"),
        shown(row(405, E7, "", Failing, Exit::Failed, 3), "http_405"),
        shown(row(422, E1, "", Failing, Exit::Failed, 3), "http_422"),
        // Technical.
        shown(row(500, E1, "technical_error", Failing, Exit::Failed, 3), "TECHNICAL-ERROR"),
        row(500, E1, "ADAM-DC-0500", Failing, Exit::Failed, 3),
        row(500, E1, "STM-ERR-0000001", Failing, Exit::Failed, 3),
        shown(row(500, E5, "500", Failing, Exit::Failed, 3), "http_500"),
        shown(row(500, E7, "", Failing, Exit::Failed, 3), "http_500"),
        shown(row(500, E9, "", Failing, Exit::Failed, 3), "http_500"),
        shown(row(502, E8, "", Failing, Exit::Failed, 3), "http_502"),
        shown(row(503, E8, "", Failing, Exit::Failed, 3), "http_503"),
        shown(row(503, E9, "", Failing, Exit::Failed, 3), "http_503"),
        shown(row(504, E7, "", Failing, Exit::Failed, 3), "http_504"),
        shown(row(408, E9, "", Failing, Exit::Failed, 3), "http_408"),
        shown(row(425, E9, "", Failing, Exit::Failed, 3), "http_425"),
        row(503, E3, "101503", Failing, Exit::Failed, 3),
        row(503, E3, "303001", Failing, Exit::Failed, 3),
        row(503, E3, "700700", Failing, Exit::Failed, 3),
        row(403, E3, "900907", Failing, Exit::Failed, 3),
        row(401, E4, "900900", Failing, Exit::Failed, 3),
        row(401, E3, "900902", Failing, Exit::Failed, 3),
        // One series alone whose token is refused, while the others are let in with it.
        row(401, E3, "900901", Failing, Exit::Failed, 6),
        // Pages, shapes and empty bodies.
        shown(row(403, E8, "", Failing, Exit::Failed, 3), "html"),
        shown(row(404, E8, "", Failing, Exit::Failed, 3), "html"),
        shown(row(404, E7, "", Failing, Exit::Failed, 3), "http_404"),
        shown(row(200, E8, "", Failing, Exit::Failed, 3), "html"),
        shown(row(200, E9, "", Failing, Exit::Failed, 3), "empty"),
        shown(row(200, E1, "technical_error", Failing, Exit::Failed, 3), "TECHNICAL-ERROR"),
        shown(row(200, E10, "x", Failing, Exit::Failed, 3), "X"),
        shown(row(307, E8, "", Failing, Exit::Failed, 3), "redirect"),
        // The application and this API.
        row(403, E3, "900908", NotOffered, Exit::Done, 1),
        row(403, E3, "900909", NotOffered, Exit::Done, 1),
        row(404, E3, "900906", Failing, Exit::Failed, 1),
        shown(row(410, E9, "", Failing, Exit::Failed, 1), "http_410"),
    ];
    // The same error in each envelope that names a code.
    for envelope in [E1, E2, E3] {
        rows.push(row(400, envelope, "ADAM-ERR0075", NotOffered, Exit::Done, 1));
    }
    rows.push(shown(row(500, E6, "500", Failing, Exit::Failed, 3), "http_500"));
    rows
}

async fn every_error_of_a_series_has_its_state_its_cost_and_touches_nobody_else() {
    let since = day("2026-10-20");
    for api in [Api::V5, Api::V2026] {
        for row in rows().into_iter().step_by(one_in(9)) {
            let name = format!("{api} {} {:?} {}", row.status, row.envelope, row.code);
            let world = World::new(7).with(MeterSpec::new(prm(ILL))).with(MeterSpec::new(prm(WELL)));
            let mut rig = Rig::new(world, &ALL_WELL, at("2026-11-24T08:30:00+01:00")).await.since(since);
            rig.apis = vec![api];
            let when = Match { prm: Some(prm(ILL)), ..Match::dataset(Dataset::ConsumptionLoadCurve) };
            let action = Action::Status {
                status: row.status,
                envelope: row.envelope,
                code: row.code.to_owned(),
                text: "A text that nobody reads".to_owned(),
            };
            rig.simulator.set_faults(Faults::none().with(when, action));
            let report = rig.pass().await;

            let status = rig.status(&prm(ILL), Dataset::ConsumptionLoadCurve).await;
            assert_eq!((status.state, status.code.as_deref()), (row.state, Some(row.shown)), "{name}");
            assert!(status.message.as_deref().is_some_and(|m| m.len() > 20), "{name}: {:?}", status.message);
            assert_eq!(report.exit(), row.exit, "{name}");
            let ill = |c: &&linkyd::simulator::LoggedCall| {
                c.prm == Some(prm(ILL)) && c.dataset == Dataset::ConsumptionLoadCurve
            };
            let calls = rig.simulator.log().iter().filter(ill).count();
            assert!(calls <= row.most && calls > 0, "{name}: {calls} calls");
            // One meter's trouble never stops another's.
            for dataset in ALL_WELL {
                // An application that may not use an API is refused whatever it asks for.
                if dataset == Dataset::ConsumptionLoadCurve && row.api_wide() {
                    continue;
                }
                let days = linkyd::domain::Days::new(since, day("2026-11-24")).unwrap();
                rig.assert_equals_truth(&prm(WELL), dataset, days).await;
                assert_eq!(rig.status(&prm(WELL), dataset).await.state, SeriesState::Ok, "{name} {dataset}");
            }
            let other = rig.status(&prm(ILL), Dataset::DailyConsumption).await.state;
            assert_eq!(other, if row.reaches_other { SeriesState::Suspended } else { SeriesState::Ok }, "{name}");

            // Passes of the same day cost next to nothing more.
            let before = rig.calls();
            for _ in 0..3 {
                rig.advance(60);
                rig.sync().await;
            }
            assert!(rig.calls() - before <= 3, "{name}: {} more", rig.calls() - before);

            println!("{name}");
            // Once the error is gone everything arrives by itself, in a week at the latest.
            rig.simulator.set_faults(Faults::none());
            for _ in 0..8 {
                rig.next_morning(8, 10);
                rig.pass().await;
            }
            rig.assert_true_since(&prm(ILL), since).await;
            rig.assert_true_since(&prm(WELL), since).await;
            for dataset in ALL_WELL {
                assert_eq!(rig.status(&prm(ILL), dataset).await.state, SeriesState::Ok, "{name} {dataset}");
            }
        }
    }
}

async fn an_application_that_is_refused_stops_the_source_alone() {
    for (code, exit) in [("900905", Exit::Failed), ("900910", Exit::Failed), ("900805", Exit::Failed)] {
        let world = World::new(7).with(MeterSpec::new(prm(ILL)).kind(MeterKind::Both));
        let rig = Rig::new(world, &ALL_WELL, at("2026-11-24T08:30:00+01:00")).await.since(day("2026-10-20"));
        let action =
            Action::Status { status: 403, envelope: Envelope::E3, code: code.to_owned(), text: "No".to_owned() };
        rig.simulator.set_faults(Faults::none().with(Match::any(), action));
        let report = rig.pass().await;
        assert_eq!(report.exit(), exit, "{code}");
        assert!(rig.calls() <= 2, "{code}: {}", rig.calls());
        for dataset in ALL_WELL {
            let status = rig.status(&prm(ILL), dataset).await;
            assert_eq!((status.state, status.code.as_deref()), (SeriesState::Failing, Some(code)), "{code}");
            assert!(status.message.is_some());
        }
        let before = rig.calls();
        for _ in 0..5 {
            rig.advance(60);
            assert_eq!(rig.pass().await.exit(), exit, "{code}");
        }
        assert_eq!(rig.calls(), before, "{code}: no call for six hours");
        rig.simulator.set_faults(Faults::none());
        rig.next_morning(8, 10);
        assert_eq!(rig.pass().await.exit(), Exit::Done);
        rig.assert_true_since(&prm(ILL), day("2026-10-20")).await;
    }
}
