//! What is read about refusals.

use super::*;

#[test]
fn what_is_read_about_a_refusal_has_one_full_stop_and_that_at_its_end() {
    let refusal = |status, excerpt: &str| Refusal {
        status,
        code: "ADAM-DC-0008".to_owned(),
        reaction: Reaction::StopDataset,
        advice: "The holder has not given the consent.",
        excerpt: excerpt.to_owned(),
        about: None,
    };
    for (refusal, expected) in [
        (refusal(Some(404), ""), "The holder has not given the consent."),
        (refusal(Some(404), "not found"), "The holder has not given the consent (HTTP 404: not found)."),
        (refusal(None, "timed out"), "The holder has not given the consent (timed out)."),
    ] {
        assert_eq!(message(&refusal), expected);
    }
}
