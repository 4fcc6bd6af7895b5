//! What the checks say of what they find; the calls are tested with the real binary.

use std::os::unix::fs::PermissionsExt as _;

use chrono::TimeDelta;

use super::calls::Dated;
use super::*;
use crate::config::{MeterConfig, Origin, Stands};
use crate::domain::{Dataset, SeriesState};
use crate::source::Grant;
use crate::store::SeriesStatus;

fn now() -> DateTime<Utc> {
    "2026-11-24T07:30:00Z".parse().unwrap()
}

fn meter(name: &str, prm: &str) -> MeterConfig {
    MeterConfig {
        customer: Vec::new(),
        prm: prm.parse().unwrap(),
        name: name.to_owned(),
        sources: vec!["home".to_owned()],
        datasets: vec![Dataset::DailyConsumption],
        since: None,
        stands: Stands(Origin::Default),
    }
}

fn series(name: &str, state: SeriesState, code: Option<&str>) -> SeriesStatus {
    SeriesStatus {
        prm: "01234567890123".parse().unwrap(),
        name: name.to_owned(),
        source: "home".to_owned(),
        dataset: Dataset::DailyConsumption,
        state,
        window_end: None,
        newest_day: None,
        oldest_day: None,
        gaps: 0,
        days: std::collections::BTreeMap::new(),
        code: code.map(str::to_owned),
        message: code.map(|code| format!("What {code} is.")),
        last_success_at: None,
        next_try_at: None,
        not_before: None,
        consent_until: None,
    }
}

fn said(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| format!("{:?}: {}", finding.verdict, finding.message));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_subscription_that_lacks_is_named_with_what_wants_it() {
    let source = crate::source::enedis::Enedis::new(crate::source::enedis::EnedisSettings {
        name: "enedis".to_owned(),
        base_url: "http://127.0.0.1/".parse().unwrap(),
        apis: vec![crate::domain::Api::V2026],
        client_id: "a".to_owned(),
        client_secret: "b".into(),
        user_agent: String::new(),
    });
    let closed = |path: &str, code: &str| crate::store::ClosedCall {
        source: "enedis".to_owned(),
        path: path.to_owned(),
        code: code.to_owned(),
    };
    let found = |closed: &[crate::store::ClosedCall]| said(&consent::of_subscriptions(&source, &[], closed));
    assert_eq!(
        found(&[closed("/comptage_auto/v1", "900908"), closed("/situation_contrat_auto/v1", "900908")]),
        "Warning: the application has no active subscription to comptage_auto (API 2026), needed for contract; subscribe \
         to it on Enedis' DataHub\nWarning: the application has no active subscription to situation_contrat_auto (API \
         2026), needed for contact, contract, identity; subscribe to it on Enedis' DataHub"
    );
    assert_eq!(found(&[closed("/comptage_auto/v1", "STM-ERR-0000001")]), "");
    let elsewhere = crate::store::ClosedCall { source: "other".to_owned(), ..closed("/comptage_auto/v1", "900908") };
    assert_eq!(found(&[elsewhere]), "");
    // Registers are below the same path as measures, and may be refused by themselves.
    let index = SeriesStatus {
        source: "enedis".to_owned(),
        dataset: Dataset::ConsumptionIndex,
        ..series("Maison", SeriesState::NotOffered, Some("900908"))
    };
    let daily = SeriesStatus {
        source: "enedis".to_owned(),
        last_success_at: Some(1),
        ..series("Maison", SeriesState::Ok, None)
    };
    let told = |all: &[SeriesStatus]| said(&consent::of_subscriptions(&source, all, &[]));
    assert!(told(std::slice::from_ref(&index)).contains("no active subscription to mesure_synchrone_auto"));
    let partly = told(&[index, daily]);
    assert!(partly.contains("is refused consumption_index, although other data comes"), "{partly}");
}

#[test]
fn hours_that_are_not_known_are_named_with_their_text() {
    let unclear = |text: &str| crate::store::UnclearHours {
        name: "Maison".to_owned(),
        since: "2026-11-04".parse().unwrap(),
        text: text.to_owned(),
    };
    let found = consent::of_hours(&[unclear(" "), unclear("HC sauf dimanche\u{7}")]);
    assert!(found.iter().all(|one| one.verdict == Verdict::Warning && one.subject.as_deref() == Some("Maison")));
    assert!(found[0].message.contains("2026-11-04") && found[0].message.contains("is empty"), "{found:?}");
    assert!(found[1].message.contains(r#""HC sauf dimanche\u{7}""#), "{found:?}");
    assert_eq!(consent::of_hours(&[]), []);
}

#[test]
fn the_worst_finding_decides_how_it_ends() {
    let found = |verdicts: &[Verdict]| -> Vec<Finding> {
        verdicts.iter().map(|verdict| Finding::new("config", *verdict, "x")).collect()
    };
    assert_eq!(exit(&found(&[Verdict::Well, Verdict::Warning])), Exit::Done);
    assert_eq!(exit(&found(&[Verdict::Problem(Exit::InputOutput)])), Exit::Failed);
    let mut all = vec![Verdict::Problem(Exit::Failed)];
    for worse in [Exit::TryLater, Exit::CredentialsRefused, Exit::DatabaseUnreachable, Exit::Configuration] {
        all.push(Verdict::Problem(worse));
        assert_eq!(exit(&found(&all)), worse);
    }
}

#[test]
fn a_table_of_meters_is_nobody_elses_business() {
    let folder = tempfile::tempdir().unwrap();
    let (config, table) = (folder.path().join("config.toml"), folder.path().join("meters.csv"));
    std::fs::write(&config, "meters_file = \"meters.csv\"\n[source.enedis]\n").unwrap();
    std::fs::write(&table, "prm\n01234567890123\n").unwrap();
    let warned = |mode: u32| {
        std::fs::set_permissions(&table, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = config::load(Some(&config), &Environment::default(), Secrets::Skip).unwrap();
        machine::files(&loaded).iter().any(|f| f.verdict == Verdict::Warning && f.message.contains("meters.csv"))
    };
    assert_eq!([0o644, 0o640, 0o600].map(warned), [true, false, false]);
}

#[test]
fn consents_that_end_and_what_they_do_not_cover_are_told() {
    let house = meter("Maison", "01234567890123");
    let given = |days: i64| crate::store::Authorisation {
        prm: house.prm.clone(),
        source: "home".to_owned(),
        api: crate::domain::Api::V2026,
        number: Some(1),
        granted_at: 0,
        until: Some((now() + TimeDelta::days(days) + TimeDelta::hours(1)).timestamp()),
        learnt: crate::store::EndKnown::Services,
        ended: false,
        checked_at: None,
        covers: Vec::new(),
    };
    let told = |given| said(&consent::of_journeys(&[given], std::slice::from_ref(&house), now()));
    assert_eq!(told(given(400)), "Well: the consent holds until 2027-12-29, for 400 days");
    assert_eq!(
        told(given(29)),
        "Warning: the consent ends on 2026-12-23, in 29 days; renew it before: `linkyd authorize` asks for it anew"
    );
    assert!(told(given(-2)).starts_with("Problem(Failed): the consent ended on 2026-11-22"));
    let ended = crate::store::Authorisation { ended: true, ..given(400) };
    assert!(told(ended).starts_with("Problem(Failed): Enedis lists the consent as over or withdrawn"));
    let narrow = crate::store::Authorisation { covers: vec![Dataset::DailyProduction], ..given(400) };
    assert!(told(narrow).contains("Warning: the consent does not cover daily_consumption"));
    let others = crate::store::Authorisation { source: "other".to_owned(), ..given(-2) };
    assert_eq!(told(others), "");
}

#[test]
fn meters_of_whose_consent_no_end_is_known_are_named_together() {
    let meters: Vec<MeterConfig> = (0..7).map(|n| meter(&format!("Meter {n}"), &format!("0123456789012{n}"))).collect();
    let told = |known: &[&crate::domain::Prm], direct: &[&str]| {
        consent::of_unknown_ends(&known.iter().copied().collect(), &meters, direct).map(|one| said(&[one]))
    };
    assert_eq!(told(&[], &["other"]), None);
    let all = told(&[], &["home"]).unwrap();
    assert!(all.starts_with("Well: until when") && all.contains("Meter 4 and 2 more"), "{all}");
    let rest = told(&[&meters[0].prm], &["home"]).unwrap();
    assert!(rest.contains("for Meter 1, Meter 2") && rest.contains("and 1 more"), "{rest}");
}

#[test]
fn series_that_fail_are_named_with_their_trouble_once() {
    let failing = SeriesState::Failing;
    let mut all: Vec<_> = (0..7).map(|n| series(&format!("Meter {n}"), failing, Some("http_503"))).collect();
    all.push(series("Studio", failing, Some("undecodable")));
    all.push(series("Well", SeriesState::Ok, None));
    let told = said(&consent::of_failures(&all));
    let [first, second] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert!(first.starts_with("Warning: Meter 0 daily_consumption, ") && first.contains(" and 2 more: "), "{first}");
    assert!(first.ends_with("failing (http_503): What http_503 is."), "{first}");
    assert_eq!(second, "Warning: Studio daily_consumption: failing (undecodable): What undecodable is.");
}

#[test]
fn a_tokens_end_and_its_meters_are_told() {
    let (house, flat) = (meter("Maison", "01234567890123"), meter("Studio", "12345678909999"));
    let grant = |days: i64| Grant {
        prms: Some(vec![house.prm.clone()]),
        until: Some(now() + TimeDelta::days(days) + TimeDelta::hours(1)),
    };
    assert_eq!(
        said(&consent::of_grant("home", &grant(400), &[&house], now())),
        "Well: the token holds until 2027-12-29, for 400 days\nWell: the credentials are for Maison"
    );
    assert_eq!(
        said(&consent::of_grant("home", &grant(29), &[&house, &flat], now())),
        "Warning: the token ends on 2026-12-23, in 29 days; renew it before: give the consent again and put the new \
         token in the place of the old one\n\
         Problem(Failed): meter Studio (…9999) is not among those that the credentials are for (…0123); give the \
         consent for it, or take the source from its sources"
    );
    assert_eq!(
        said(&consent::of_grant("home", &grant(-2), &[], now())),
        "Problem(CredentialsRefused): the token ended on 2026-11-22; renew it: give the consent again and put the \
         new token in the place of the old one\n\
         Well: no meter is asked for; the credentials are for …0123"
    );
    assert!(consent::of_grant("home", &Grant::default(), &[&house], now()).is_empty());
}

#[test]
fn a_clock_is_compared_with_the_sources() {
    let off = |seconds: i64| machine::clock(now(), &[Dated::at("enedis", now() + TimeDelta::seconds(seconds), now())]);
    assert_eq!(said(&[off(-3)]), "Well: it is 2026-11-24 08:30 (Paris), as source enedis says");
    assert_eq!(
        said(&[off(120)]),
        "Warning: the clock is 2 min behind that of source enedis; set it, or let it be set over the network \
         (timedatectl set-ntp true)"
    );
    assert!(said(&[off(-7200)]).starts_with("Problem(Failed): the clock is 2 h ahead of that of source enedis"));
    assert_eq!(machine::clock(now(), &[]).verdict, Verdict::Well);
    let unset = machine::clock("1970-01-01T00:10:00Z".parse().unwrap(), &[]);
    assert!(said(&[unset]).starts_with("Problem(Failed): the clock shows 1970-01-01 01:10 (Paris), which cannot be"));
}

#[test]
fn old_rules_of_the_time_zone_are_worth_a_warning() {
    assert_eq!(machine::zone(now()).verdict, Verdict::Well);
    assert_eq!(machine::zone("2046-01-01T00:00:00Z".parse().unwrap()).verdict, Verdict::Warning);
}

#[test]
fn reports_mask_whatever_comes_in() {
    let findings = [
        Finding::new("config", Verdict::Well, "config.toml: 1 source, 1 meter"),
        Finding::new("source", Verdict::Problem(Exit::CredentialsRefused), "refused for 01234567890123").of("enedis"),
        Finding::new("files", Verdict::Warning, "can be read"),
    ];
    insta::assert_snapshot!(text(&findings, false), @r#"
    RESULT   CHECK          WHAT
    ok       config         config.toml: 1 source, 1 meter
    problem  source enedis  refused for …0123
    warning  files          can be read

    1 problem, 1 warning.
    "#);
    let document = document(&findings, now());
    assert_eq!((&document["ok"], &document["exit"]), (&json!(false), &json!(77)));
    assert_eq!(
        document["checks"][1],
        json!({"check": "source", "subject": "enedis", "result": "problem", "message": "refused for …0123"})
    );
    assert_eq!(text(&findings[..1], false).lines().last(), Some("All is well."));
}
