//! States, periods, and everything that a browser can bring back.

use proptest::prelude::*;

use super::*;

fn state() -> State {
    State::of([7; 16])
}

const TEXT: &str = "07070707070707070707070707070707x";

fn read(query: &str) -> Result<Given, Failed> {
    read_redirect(&format!("http://127.0.0.1:9766/callback?{}", query.replace("STATE", TEXT)), &state().expected())
}

#[test]
fn the_page_is_asked_for_to_the_letter() {
    let base = Url::parse(PAGE).unwrap();
    for (api, version) in [(Api::V5, "v1"), (Api::V2026, "v2")] {
        let url = page(&base, api, "an id&more", &state(), Period::LONGEST);
        let query = format!("client_id=an+id%26more&response_type=code&state={TEXT}&duration=P3Y");
        assert_eq!(url.as_str(), format!("{PAGE}/dataconnect/{version}/oauth2/authorize?{query}"));
    }
    let proxied = Url::parse("http://127.0.0.1:9765/enedis/").unwrap();
    let url = page(&proxied, Api::V2026, "id", &State::for_customer([7; 16], 4), "P30D".parse().unwrap());
    assert!(url.as_str().starts_with("http://127.0.0.1:9765/enedis/dataconnect/v2/oauth2/authorize?"));
    assert!(url.as_str().ends_with("074&duration=P30D"), "{url}");
}

#[test]
fn states_are_hidden_and_compared_whole() {
    assert_eq!(format!("{:?}", state()), "State(…)");
    let expected = state().expected();
    assert!(expected.is(TEXT) && Expected::kept(expected.digest().to_owned()).is(TEXT));
    assert!(!expected.digest().contains("0707") && !Expected::kept(String::new()).is(TEXT));
    assert_eq!(journey_of(&format!("http://x/callback?state={TEXT}&code=1")), Some(expected));
    assert_eq!(journey_of("http://x/callback?code=1"), None);
    let customer = &format!("{}7", &TEXT[..32]);
    for (text, whole) in [(TEXT, true), (customer, true), (&TEXT[..32], false), ("guessed", false), ("é", false)] {
        let found = whole_journey_of(&format!("?state={text}&code=1"));
        assert_eq!(found, whole.then(|| Expected::of(text)), "{text}");
    }
    assert_eq!(whole_journey_of(&format!("?state={TEXT}0&code=1")), None);
    for other in ["", "x", &TEXT[..32], &format!("{TEXT}0"), &TEXT.to_uppercase()] {
        assert!(!state().expected().is(other), "{other}");
    }
    assert!(!State::of([8; 16]).expected().is(TEXT));
}

#[test]
fn periods_are_at_most_three_years() {
    let day: Day = "2026-11-26".parse().unwrap();
    for (text, end) in [
        ("P1D", "2026-11-27"),
        ("P2W", "2026-12-10"),
        ("P36M", "2029-11-26"),
        ("P3Y", "2029-11-26"),
        ("P1095D", "2029-11-25"),
    ] {
        let period: Period = text.parse().unwrap();
        assert_eq!((period.to_string().as_str(), period.ends(day)), (text, end.parse().unwrap()));
    }
    for text in
        ["", "P", "3Y", "P0D", "P37M", "P4Y", "P1096D", "P157W", "P1Y6M", "PT1H", "P-1D", "P+1D", "P1é", "P99999D"]
    {
        assert_eq!(text.parse::<Period>(), Err(PeriodError), "{text}");
    }
}

#[test]
fn what_the_browser_brings_back() {
    let prm = |text: &str| text.parse::<Prm>().unwrap();
    let (one, other) = (prm("01234567890123"), prm("12345678901234"));
    for (query, given) in [
        ("code=abc&state=STATE&usage_point_id=01234567890123", Given::Meters(vec![one.clone()])),
        ("usage_point_id=12345678901234%3B01234567890123&state=STATE", Given::Meters(vec![one.clone(), other.clone()])),
        ("usage_point_id=01234567890123, 12345678901234&state=STATE#part", Given::Meters(vec![one, other])),
        ("autorisation_id=424242&state=STATE", Given::Authorisation(424_242)),
    ] {
        assert_eq!(read(query), Ok(given), "{query}");
    }
    // The part after the question mark alone.
    let bare = format!(" autorisation_id=1&state={TEXT}\n");
    assert_eq!(read_redirect(&bare, &state().expected()), Ok(Given::Authorisation(1)));
}

#[test]
fn every_failure_is_told_apart() {
    for (query, failed) in [
        ("", Failed::NotTheRedirect),
        ("page=1", Failed::NotTheRedirect),
        ("autorisation_id=1", Failed::CutOff),
        ("autorisation_id=1&state=", Failed::CutOff),
        ("autorisation_id=1&state=0707070707", Failed::CutOff),
        // All but the last character.
        ("autorisation_id=1&state=07070707070707070707070707070707", Failed::CutOff),
        ("autorisation_id=1&state=070707070707070707070707070707070", Failed::OtherState),
        ("autorisation_id=1&state=other", Failed::OtherState),
        ("autorisation_id=1&state=STATE&state=STATE", Failed::OtherState),
        // Another one's error is none of this journey's business.
        ("error=access_denied&state=other", Failed::OtherState),
        ("error=access_denied&state=", Failed::CutOff),
        ("error=access_denied&state=0707", Failed::CutOff),
        // One that says nothing of its journey counts for what it says.
        ("error=access_denied", Failed::NoState(Box::new(Failed::Refused))),
        (
            "error=invalid_request&error_description=demande_non_aboutie",
            Failed::NoState(Box::new(Failed::NotCompleted)),
        ),
        // Nothing is granted without a state.
        ("code=abc&usage_point_id=01234567890123", Failed::CutOff),
        ("code=500&usage_point_id=01234567890123", Failed::NoState(Box::new(Failed::Enedis))),
        ("error=access_denied&error_description=no&state=STATE", Failed::Refused),
        ("error=invalid_request&error_description=demande_non_aboutie&state=STATE", Failed::NotCompleted),
        ("code=500&error=server_error&state=STATE", Failed::Enedis),
        ("code=500&usage_point_id=01234567890123&state=STATE", Failed::Enedis),
        ("code=server_error&usage_point_id=01234567890123&state=STATE", Failed::Enedis),
        ("error=&usage_point_id=01234567890123&state=STATE", Failed::NotAccepted(String::new())),
        (
            "error=invalid_request&error_description=maximum_duration_exceeded&state=STATE",
            Failed::NotAccepted("maximum_duration_exceeded".to_owned()),
        ),
        ("usage_point_id=1234&state=STATE", Failed::NoMeter),
        ("usage_point_id=01234567890123;&state=STATE", Failed::NoMeter),
        ("autorisation_id=-1&state=STATE", Failed::NoMeter),
        ("autorisation_id=x&state=STATE", Failed::NoMeter),
        ("code=abc&state=STATE", Failed::NoMeter),
    ] {
        assert_eq!(read(query), Err(failed), "{query}");
    }
    let long = format!("?state={TEXT}&{}=1", "x".repeat(LONGEST));
    assert_eq!(read_redirect(&long, &state().expected()), Err(Failed::NotTheRedirect));
}

proptest! {
    #[test]
    fn nothing_from_outside_breaks_it_or_gets_through_without_the_state(text in "\\PC{0,200}") {
        for query in [text.clone(), format!("http://127.0.0.1/?{text}"), format!("autorisation_id=1&state={text}")] {
            prop_assert!(read_redirect(&query, &state().expected()).is_err());
        }
        let shown = read(&format!("state=STATE&error={}", form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()));
        if let Err(failed) = shown {
            let clean = !failed.to_string().contains(|c: char| c.is_control() || c == '<');
            prop_assert!(clean);
        }
    }
}
