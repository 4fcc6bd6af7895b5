//! Personal data: kept where it is asked for, shown nowhere, forgotten without a trace.

use std::fs;

use linkyd::domain::{Api, CustomerDataset, Dataset, SeriesState};
use linkyd::simulator::{Action, CustomerSpec, Envelope, Faults, Match, MeterSpec, Service, World};
use linkyd::store::{Authorisation, Brought, EndKnown, Forget};

use crate::cli_rig::{Home, Simulated, source};
use crate::support::{On, Rig, at, day, journey, on_both_engines, prm};

on_both_engines! {
    personal_data_is_kept_apart_and_forgotten_alone,
    a_meter_is_forgotten_with_everything_about_it,
    a_meter_that_was_only_shared_is_forgotten_as_well,
    what_stands_beside_a_refusal_about_people_is_kept_nowhere,
    nothing_personal_is_asked_for_unless_it_is_named,
}

const METER: &str = "01234567890123";
const OTHER: &str = "01234567890124";
/// What stands in the tables, in the letters of either API.
const TRACES: [&str; 6] =
    ["Zephyrine", "Xylander", "Quokkastrasse", "Wombatville", "+33199001234", "zephyrine@example.org"];
const DATASETS: [Dataset; 2] = [Dataset::ConsumptionLoadCurve, Dataset::DailyConsumption];

fn somebody() -> CustomerSpec {
    CustomerSpec {
        first_name: Some("Zephyrine".to_owned()),
        last_name: Some("Xylander".to_owned()),
        street: Some("7 Quokkastrasse".to_owned()),
        city: Some("Wombatville".to_owned()),
        phone: Some("+33199001234".to_owned()),
        email: Some("zephyrine@example.org".to_owned()),
        ..CustomerSpec::default()
    }
}

async fn rig(on: On, api: Api) -> Rig {
    let meters = [METER, OTHER].map(|one| MeterSpec { customer: somebody(), ..MeterSpec::new(prm(one)) });
    let world = meters.into_iter().fold(World::new(11), World::with);
    let mut rig = Rig::on(on, world, &DATASETS, at("2026-11-24T08:30:00+01:00")).await;
    rig.apis = vec![api];
    for meter in &mut rig.meters {
        meter.customer = CustomerDataset::ALL.to_vec();
        meter.since = Some(day("2026-11-01"));
    }
    rig
}

const PEOPLE: &str = "SELECT i.first_name || '|' || upper(a.street) || '|' || c.phone || '|' || c.email \
                      FROM personal_identity i JOIN personal_address a ON a.meter = i.meter \
                      JOIN personal_contact c ON c.meter = i.meter ORDER BY i.meter";
const SOMEBODY: &str = "Zephyrine|7 QUOKKASTRASSE|+33199001234|zephyrine@example.org";

const MEASURED: &str = "SELECT CAST(sum(watts) AS text) || ' ' || count(*) FROM load_curve";

/// All that the files of the database hold.
fn bytes(rig: &Rig) -> Vec<u8> {
    let files = ["linkyd.db", "linkyd.db-wal", "linkyd.db-shm"].map(|file| rig.folder.path().join(file));
    files.iter().flat_map(|file| fs::read(file).unwrap_or_default()).collect()
}

/// How often each trace stands in the files of the database, in capitals or not.
fn traces(rig: &Rig) -> Vec<usize> {
    let bytes = bytes(rig);
    TRACES.iter().map(|trace| count(&bytes, trace)).collect()
}

fn count(bytes: &[u8], trace: &str) -> usize {
    let find = |needle: &[u8]| bytes.windows(needle.len()).filter(|window| window.eq_ignore_ascii_case(needle)).count();
    find(trace.as_bytes())
}

async fn personal_data_is_kept_apart_and_forgotten_alone(on: On) {
    for api in [Api::V5, Api::V2026] {
        let rig = rig(on, api).await;
        rig.pass().await;
        assert_eq!(rig.rows(PEOPLE.to_owned()).await, [SOMEBODY, SOMEBODY]);
        // People stand beside the contracts in 2026: one answer serves three datasets.
        let situations = rig.simulator.service_log().iter().filter(|c| c.service == Service::Situation).count();
        assert_eq!(situations, if api == Api::V5 { 0 } else { 2 });
        let lines = rig.store.customers().await.unwrap();
        assert!(lines.len() == 8 && lines.iter().all(|line| line.state == SeriesState::Ok), "{lines:?}");
        let shown = format!("{lines:?}");
        assert!(TRACES.iter().all(|trace| count(shown.as_bytes(), trace) == 0));
        if matches!(on, On::File) {
            assert!(traces(&rig).iter().all(|count| *count > 0), "{:?}", traces(&rig));
        }
        // What is replaced does not linger either.
        rig.simulator.change(|world| world.meters[1].customer.street = Some("8 Rue Neuve".to_owned()));
        for _ in 0..8 {
            rig.next_morning(8, 30);
            rig.pass().await;
        }
        assert!(rig.rows(PEOPLE.to_owned()).await[1].contains("|8 RUE NEUVE|"));

        // As earlier versions kept what a source said beside a refusal.
        rig.run("UPDATE account SET message = 'Mme Quaggabert lives there'").await;
        let before = rig.rows(MEASURED.to_owned()).await;
        let now_ms = rig.clock_now_ms();
        let one = rig.database.forget(Forget::Personal(vec![prm(OTHER)]), now_ms).await.unwrap();
        assert_eq!(one.meters.iter().map(|meter| meter.rows).collect::<Vec<_>>(), [3]);
        assert_eq!(rig.rows(PEOPLE.to_owned()).await, [SOMEBODY]);
        assert!(rig.rows("SELECT message FROM account WHERE message IS NOT NULL".to_owned()).await.is_empty());
        let all = rig.database.forget(Forget::Personal(Vec::new()), now_ms).await.unwrap();
        assert_eq!(all.meters.len(), 2);
        assert!(rig.rows(PEOPLE.to_owned()).await.is_empty());
        if matches!(on, On::File) {
            assert_eq!(traces(&rig), [0; TRACES.len()]);
            assert_eq!(count(&bytes(&rig), "Quaggabert"), 0);
        }
        // What was copied elsewhere is out of reach, in either engine.
        assert!(all.remains.contains("backups") && all.remains.contains("kept"), "{}", all.remains);
        // Measures and contracts are as they were.
        rig.assert_true_since(&prm(METER), day("2026-11-01")).await;
        assert_eq!(rig.rows(MEASURED.to_owned()).await, before);
        assert_eq!(rig.rows("SELECT segment FROM v_meter".to_owned()).await, ["C5", "C5"]);
    }
}

async fn a_meter_is_forgotten_with_everything_about_it(on: On) {
    let mut rig = rig(on, Api::V2026).await;
    rig.pass().await;
    let spent =
        || async { rig.store.spent("enedis", linkyd::source::Pool::Live, rig.clock_now_ms()).await.unwrap().day };
    let before = spent().await;
    let done = rig.database.forget(Forget::Meters(vec![prm(METER)]), rig.clock_now_ms()).await.unwrap();
    assert!(done.meters.len() == 1 && done.meters[0].rows > 1_000, "{done:?}");
    // What was spent stays spent.
    assert_eq!(spent().await, before);
    for table in ["load_curve", "daily_energy", "coverage", "series", "contract", "personal_identity", "activation"] {
        let meters = rig.rows(format!("SELECT DISTINCT CAST(meter AS text) FROM {table}")).await;
        assert!(meters.len() <= 1, "{table}: {meters:?}");
    }
    assert_eq!(rig.rows("SELECT DISTINCT prm FROM v_call".to_owned()).await, [OTHER]);
    assert_eq!(rig.rows("SELECT prm FROM meter".to_owned()).await, [OTHER]);
    if matches!(on, On::File) {
        let bytes = fs::read(rig.folder.path().join("linkyd.db")).unwrap();
        assert_eq!((count(&bytes, METER), count(&bytes, OTHER) > 0), (0, true));
        // The other one is of the same people.
        assert!(traces(&rig).iter().all(|count| *count > 0), "{:?}", traces(&rig));
    }
    rig.meters.remove(0);
    rig.next_morning(8, 30);
    rig.pass().await;
    rig.assert_true_since(&prm(OTHER), day("2026-11-01")).await;
    let nobody = rig.database.forget(Forget::Meters(vec![prm(METER)]), rig.clock_now_ms()).await.unwrap();
    assert!(nobody.meters.is_empty());
    // What a contract says of off-peak hours stays as long as one says it.
    assert_eq!(rig.rows("SELECT text FROM offpeak".to_owned()).await.len(), 1);
    rig.database.forget(Forget::Meters(vec![prm(OTHER)]), rig.clock_now_ms()).await.unwrap();
    assert_eq!(rig.rows("SELECT text FROM offpeak UNION SELECT text FROM offpeak_slot".to_owned()).await, [""; 0]);
    if matches!(on, On::File) {
        assert_eq!(traces(&rig), [0; TRACES.len()]);
    }
}

async fn a_meter_that_was_only_shared_is_forgotten_as_well(on: On) {
    let rig = rig(on, Api::V2026).await;
    rig.pass().await;
    let now = rig.clock_now_ms() / 1_000;
    let shared = prm("01234567890999");
    let authorisation = |prm, number| Authorisation {
        prm,
        source: "enedis".to_owned(),
        api: Api::V2026,
        number: Some(number),
        granted_at: now,
        until: Some(now + 86_400),
        learnt: EndKnown::Services,
        ended: false,
        checked_at: None,
        covers: Vec::new(),
    };
    for (state, prm, number) in [("theirs", shared.clone(), 987_654_321), ("other", prm(OTHER), 5)] {
        rig.store.begin_journey(&journey(state, now - 60)).await.unwrap();
        rig.store.answer_journey(state, &Brought::Number(number), now).await.unwrap();
        rig.store.finish_journey(state, &[authorisation(prm, number)], now).await.unwrap();
    }
    let done = rig.database.forget(Forget::Meters(vec![shared.clone()]), rig.clock_now_ms()).await.unwrap();
    // The consent, and the journey that knows its number.
    assert_eq!((done.meters.len(), done.meters[0].rows, &*done.meters[0].name), (1, 2, "…0999"));
    assert_eq!(rig.rows("SELECT prm FROM authorisation".to_owned()).await, [OTHER]);
    assert_eq!(rig.rows("SELECT CAST(number AS text) FROM journey".to_owned()).await, ["5"]);
    if matches!(on, On::File) {
        let bytes = fs::read(rig.folder.path().join("linkyd.db")).unwrap();
        assert_eq!(count(&bytes, shared.full()), 0);
    }
    let again = rig.database.forget(Forget::Meters(vec![shared]), rig.clock_now_ms()).await.unwrap();
    assert_eq!(again.meters, []);
}

/// Whatever the refusal comes to: a rest of the source, a state of the dataset, or another try.
async fn what_stands_beside_a_refusal_about_people_is_kept_nowhere(on: On) {
    for (status, code) in [(429, "throttled"), (403, "ADAM-ERR0061"), (403, "900908"), (500, "technical_error")] {
        let mut rig = rig(on, Api::V5).await;
        for meter in &mut rig.meters {
            meter.customer = vec![CustomerDataset::Identity];
        }
        let text = format!("{} {} lives in {}", TRACES[0], TRACES[1], TRACES[2]);
        let refusal = Action::Status { status, envelope: Envelope::E1, code: code.to_owned(), text };
        let only = Match { service: Some(Service::Identity), ..Match::default() };
        rig.simulator.set_faults(Faults::none().with(only, refusal));
        let report = format!("{:?}", rig.pass().await);
        assert!(rig.simulator.service_log().iter().any(|call| call.status == status), "{status} {code}");
        let mut kept = rig.rows("SELECT message FROM account WHERE message IS NOT NULL".to_owned()).await;
        kept.extend(rig.rows("SELECT message FROM series WHERE message IS NOT NULL".to_owned()).await);
        assert!(!kept.is_empty(), "{status} {code}");
        let said = kept.concat() + &report;
        assert!(TRACES.iter().all(|trace| count(said.as_bytes(), trace) == 0), "{status} {code}: {said}");
        if matches!(on, On::File) {
            assert_eq!(traces(&rig), [0; TRACES.len()], "{status} {code}");
        }
    }
}

async fn nothing_personal_is_asked_for_unless_it_is_named(on: On) {
    let mut rig = rig(on, Api::V5).await;
    for meter in &mut rig.meters {
        meter.customer = vec![CustomerDataset::Contract];
    }
    rig.pass().await;
    let asked: Vec<Service> = rig.simulator.service_log().iter().map(|call| call.service).collect();
    assert_eq!(asked, [Service::Contracts; 2]);
    assert!(rig.rows(PEOPLE.to_owned()).await.is_empty());
}

#[test]
fn no_output_at_any_level_shows_anything_personal_and_the_command_forgets_it() {
    let home = Home::empty();
    let world = format!(
        "[rules.limits]\nper_second = 0\nper_hour_v5 = 0\nper_hour_2026 = 0\n[[meter]]\nprm = \"{METER}\"\n\
         [meter.customer]\nfirst_name = \"Zephyrine\"\nlast_name = \"Xylander\"\nstreet = \"7 Quokkastrasse\"\n\
         city = \"Wombatville\"\n         phone = \"+33199001234\"\nemail = \"zephyrine@example.org\"\n"
    );
    let world = home.write("world.toml", &world, 0o644).display().to_string();
    let enedis = Simulated::start(&home.path(""), &["--world", &world]);
    let meter = |datasets: &str| {
        format!("[[meter]]\nprm = \"{METER}\"\nname = \"Maison\"\nsince = 2026-11-20\ndatasets = [{datasets}]\n")
    };
    let personal = "\"daily_consumption\", \"contract\", \"address\", \"identity\", \"contact\"";
    let log = "[log]\nfilter = \"trace\"\n";
    home.write("config.toml", &format!("{log}{}{}", source(&enedis.url, ""), meter(personal)), 0o640);
    let mut all = String::new();
    for args in [&["sync", "--json"][..], &["status"], &["status", "--json"], &["plan"], &["sync", "--refetch"]] {
        let ran = home.run_at_morning(args).exits(0);
        all += &(ran.out + &ran.err);
    }
    for args in [&["config", "show"][..], &["db", "check"]] {
        let ran = home.run(args).exits(0);
        all += &(ran.out + &ran.err);
    }
    assert!(all.contains("TRACE") && all.contains("\"identity\""), "{all}");
    for trace in TRACES {
        assert_eq!(count(all.as_bytes(), trace), 0, "{trace}");
    }
    let held = |trace: &str| {
        ["linkyd.db", "linkyd.db-wal"]
            .map(|file| count(&fs::read(home.path(file)).unwrap_or_default(), trace))
            .iter()
            .sum::<usize>()
    };
    assert!(TRACES.iter().all(|trace| held(trace) > 0));
    let refused = home.run(&["forget", "--personal"]).exits(64);
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    assert!(TRACES.iter().all(|trace| held(trace) > 0));
    home.run(&["forget"]).exits(64);
    let done = home.run(&["forget", "--personal", "--yes", "--json"]).exits(0).json();
    assert_eq!((&done["meters"][0]["rows"], &done["swept"]), (&3.into(), &true.into()));
    assert!(done["remains"].as_str().unwrap().contains("backups"), "{done}");
    assert_eq!(done["fetched_again"][0]["datasets"], serde_json::json!(["address", "identity", "contact"]));
    assert_eq!(TRACES.map(held), [0; TRACES.len()]);
    let told = home.run(&["forget", "--personal", "--yes"]).exits(0);
    assert!(told.out.contains("within a week, unless you take address, identity, contact from"), "{}", told.out);
    assert_eq!(home.rows("SELECT prm FROM v_meter"), [METER]);
    home.assert_whole();
    let gone = home.run(&["forget", "--prm", METER, "--yes"]).exits(0);
    assert!(gone.out.contains("forgotten") && gone.out.contains("fetches it again, unless you remove"), "{}", gone.out);
    assert_eq!(held(METER), 0);
    // Told to run it again, one may.
    let again = home.run(&["forget", "--prm", METER, "--yes"]).exits(0);
    assert!(
        again.out.contains("…0123: the database holds nothing of it") && again.out.contains("swept"),
        "{}",
        again.out
    );
    let again = home.run(&["forget", "--prm", METER, "--yes", "--json"]).exits(0).json();
    assert_eq!((&again["meters"], &again["unknown"]), (&serde_json::json!([]), &serde_json::json!([METER])));
    assert_eq!(fs::metadata(home.path("linkyd.db-wal")).unwrap().len(), 0, "nothing is left in the WAL");
}
