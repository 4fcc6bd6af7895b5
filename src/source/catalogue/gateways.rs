//! The rows of the gateways: what they answer themselves, and what an answer of Enedis means when
//! it reached linkyd through one.
//!
//! Between linkyd and Enedis stands then somebody else's application, with its own token, its own
//! subscription and its own quota. Trouble with those is the gateway's, and the operator can only
//! wait; trouble with the token or the account that the gateway gave out is the operator's. Both
//! gateways are run by volunteers who block what calls too often, so a page that refuses is taken
//! for a ban.

use std::ops::RangeInclusive;

use super::Front;
use super::table::{ANY, At, Row};
use crate::source::envelope::Shape;
use crate::source::{Reaches, Reaction};

const CONSO: &[Front] = &[Front::ConsoApi];
const MED: &[Front] = &[Front::MyElectricalData];
const BOTH: &[Front] = &[Front::ConsoApi, Front::MyElectricalData];
/// MyElectricalData puts the codes of Enedis into its own envelope.
const PASSED_ON: &[Front] = &[Front::Relayed, Front::MyElectricalData];
const RELAYED: &[Front] = &[Front::Relayed];

const NO_API: &[Shape] = &[Shape::Html, Shape::Text, Shape::Empty];

const STOP_METER: Reaction = Reaction::StopMeter(Reaches::Meter);
const WRONG_CREDENTIALS: Reaction = Reaction::StopApp { credentials: true };
const QUOTA: Reaction = Reaction::RetryAt(None);

const BANNED: &str = "The gateway's protection refuses this internet address, which is probably banned: too many calls came from it, of linkyd or of another program. linkyd stops all calls to the gateway for a week; linkyd resume NAME lifts that. First stop other programs that use it. To ask its operator: github.com/bokub/conso-api/discussions for Conso API, the contact on myelectricaldata.fr for MyElectricalData.";
const ACCESS: &str = "Enedis refuses the gateway's own access, not yours. Nothing to do here: linkyd asks again later; if it lasts for days, look whether the gateway's users report it.";
const SUBSCRIBED: &str = "The gateway's application may not use this API of Enedis, so it cannot serve this dataset at present. Nothing to do here: other datasets go on, and linkyd looks again every six hours.";
const SHARED_QUOTA: &str = "The gateway takes no more calls for the moment: the quota that Enedis grants it is used up by all its users together, or too many calls came from here. linkyd waits until it opens again; nothing to do.";
const ENEDIS: &str =
    "Enedis gave the gateway no proper answer; such faults can last for days. Nothing to do: linkyd asks again later.";
const NOT_FOUND: &str = "The gateway has nothing at this address. If every call ends like this, check base_url, and look for an update of linkyd.";
const CONSO_TOKEN: &str = "Conso API refuses the token for this meter: the token has expired, is incomplete, or was made for other meters. Get a new one on conso.boris.sh with the account that holds the meter's contract, and put it into the token file.";
const CONSO_INVALID: &str = "Conso API calls the request malformed. Check the PRM in the configuration; otherwise please report this as a defect of linkyd.";
const MED_INVALID: &str = "MyElectricalData calls the request malformed. Check the PRM in the configuration; otherwise please report this as a defect of linkyd.";
const MED_CREDENTIALS: &str = "MyElectricalData refuses the client secret, or the account's mail address is not confirmed. Compare client_id and client_secret with the account's page on myelectricaldata.fr; a secret that was renewed there has to be replaced here.";
const MED_ACCESS: &str = "MyElectricalData does not give your account access to this meter: it is not in the account, not active there, or its consent has ended. Look at the meter's page on myelectricaldata.fr and give the consent again.";
const MED_ENEDIS: &str = "MyElectricalData reached Enedis, but got no data from it; such faults can last for days. Nothing to do: linkyd asks again later.";

/// A row for a code.
const fn code(fronts: &'static [Front], code: &'static str, reaction: Reaction, advice: &'static str) -> Row {
    Row { fronts, code, name: "", at: At::Data, status: ANY, shapes: &[], reaction, advice }
}

/// A row for a code that is stored under a name.
const fn named(
    fronts: &'static [Front],
    code: &'static str,
    name: &'static str,
    reaction: Reaction,
    advice: &'static str,
) -> Row {
    Row { fronts, code, name, at: At::Data, status: ANY, shapes: &[], reaction, advice }
}

/// A row for any other code.
const fn status(
    fronts: &'static [Front],
    status: RangeInclusive<u16>,
    shapes: &'static [Shape],
    name: &'static str,
    reaction: Reaction,
    advice: &'static str,
) -> Row {
    Row { fronts, code: "", name, at: At::Data, status, shapes, reaction, advice }
}

const fn access(code: &'static str) -> Row {
    named(PASSED_ON, code, "gateway_access", Reaction::RetryLater, ACCESS)
}

const fn not_subscribed(code: &'static str) -> Row {
    named(PASSED_ON, code, "gateway_not_subscribed", Reaction::StopApi, SUBSCRIBED)
}

const fn quota(fronts: &'static [Front], code: &'static str) -> Row {
    named(fronts, code, "gateway_quota", QUOTA, SHARED_QUOTA)
}

const fn banned(code: &'static str) -> Row {
    named(BOTH, code, BAN, Reaction::Ban, BANNED)
}

/// The name of a suspected ban.
pub(super) const BAN: &str = "banned";

/// The rows that count before all others.
pub(super) static GATEWAYS: &[Row] = &[
    // What the gateway's application has to settle with Enedis.
    access("900900"),
    access("900901"),
    access("900902"),
    access("900903"),
    access("900904"),
    access("900905"),
    access("900907"),
    access("900910"),
    access("900805"),
    access("700700"),
    not_subscribed("900906"),
    not_subscribed("900908"),
    not_subscribed("900909"),
    quota(PASSED_ON, "900800"),
    quota(PASSED_ON, "900802"),
    quota(PASSED_ON, "900803"),
    quota(PASSED_ON, "900804"),
    quota(PASSED_ON, "900806"),
    quota(PASSED_ON, "900807"),
    quota(PASSED_ON, "QUOTA-Q3"),
    quota(PASSED_ON, "QUOTA-Q4"),
    // The protection in front of a gateway says which of its rules struck, where it speaks JSON.
    banned("1005"),
    banned("1006"),
    banned("1007"),
    banned("1008"),
    banned("1009"),
    banned("1010"),
    banned("1012"),
    banned("1020"),
    quota(BOTH, "1015"),
    // The codes of MyElectricalData.
    code(
        MED,
        "RATE-LIMIT-EXCEEDED",
        QUOTA,
        "The calls that MyElectricalData grants your account for today are used up; linkyd goes on after midnight UTC. If this happens daily, another program uses the account: lower requests_per_day.",
    ),
    code(
        MED,
        "NO-DATA",
        Reaction::NoData,
        "MyElectricalData has no readings for these days: not published yet, a meter that did not report, a curve that is not recorded, or a fault at Enedis. linkyd asks again on a widening schedule.",
    ),
    code(
        MED,
        "PARTIAL-DATA",
        Reaction::RetryLater,
        "MyElectricalData could only give a part of the days, and sent none of it. linkyd asks for them again later.",
    ),
    code(
        MED,
        "DATE-TOO-OLD",
        Reaction::ClampHistory,
        "The days lie before the history that MyElectricalData serves; linkyd goes on with the first day that is served.",
    ),
    code(MED, "INVALID-DATE-RANGE", Reaction::Bug, MED_INVALID),
    code(MED, "INVALID-DATE-FORMAT", Reaction::Bug, MED_INVALID),
    code(
        MED,
        "ENEDIS-UNAVAILABLE",
        Reaction::RetryLater,
        "MyElectricalData does not reach Enedis at present. Nothing to do: linkyd asks again later.",
    ),
    code(MED, "ENEDIS-ERROR", Reaction::RetryLater, MED_ENEDIS),
    code(MED, "ACCESS-DENIED", STOP_METER, MED_ACCESS),
    code(MED, "PDL-NOT-FOUND", STOP_METER, MED_ACCESS),
    code(
        MED,
        "INTERNAL-ERROR",
        Reaction::RetryLater,
        "MyElectricalData has a fault of its own. Nothing to do: linkyd asks again later.",
    ),
    // Any other code, or none, by status.
    status(BOTH, 403..=403, NO_API, BAN, Reaction::Ban, BANNED),
    status(BOTH, 404..=404, &[], "gateway_not_found", Reaction::RetryLater, NOT_FOUND),
    status(BOTH, 410..=410, &[], "gateway_not_found", Reaction::RetryLater, NOT_FOUND),
    status(BOTH, 429..=429, &[], "gateway_quota", QUOTA, SHARED_QUOTA),
    status(RELAYED, 401..=401, &[], "gateway_access", Reaction::RetryLater, ACCESS),
    status(RELAYED, 403..=403, NO_API, "gateway_access", Reaction::RetryLater, ACCESS),
    status(RELAYED, 429..=429, &[], "gateway_quota", QUOTA, SHARED_QUOTA),
    status(RELAYED, 500..=599, &[], "gateway_enedis", Reaction::RetryLater, ENEDIS),
    status(CONSO, 400..=400, &[], "conso_invalid", Reaction::Bug, CONSO_INVALID),
    status(CONSO, 401..=401, &[], "conso_token", STOP_METER, CONSO_TOKEN),
    status(CONSO, 403..=403, &[], "conso_token", STOP_METER, CONSO_TOKEN),
    status(CONSO, 405..=407, &[], "conso_invalid", Reaction::Bug, CONSO_INVALID),
    status(CONSO, 411..=424, &[], "conso_invalid", Reaction::Bug, CONSO_INVALID),
    status(
        CONSO,
        500..=599,
        &[],
        "conso_unavailable",
        Reaction::RetryLater,
        "Conso API has a fault, is under maintenance, or cannot reach Enedis. Nothing to do: linkyd asks again later.",
    ),
    status(MED, 400..=400, &[], "med_invalid", Reaction::Bug, MED_INVALID),
    status(MED, 401..=401, &[], "med_credentials", WRONG_CREDENTIALS, MED_CREDENTIALS),
    status(MED, 403..=403, &[], "med_credentials", WRONG_CREDENTIALS, MED_CREDENTIALS),
    status(MED, 405..=407, &[], "med_invalid", Reaction::Bug, MED_INVALID),
    status(MED, 411..=424, &[], "med_invalid", Reaction::Bug, MED_INVALID),
    status(
        MED,
        500..=599,
        &[],
        "med_unavailable",
        Reaction::RetryLater,
        "MyElectricalData is out of order or under maintenance. Nothing to do: linkyd asks again later.",
    ),
    // What the source of kind conso-api tells from the text alone.
    Row {
        fronts: CONSO,
        code: "conso_no_token",
        name: "",
        at: At::Own,
        status: 400..=400,
        shapes: &[],
        reaction: WRONG_CREDENTIALS,
        advice: "Conso API sees no token in the request. Check that the token file holds the token of conso.boris.sh, the whole of it and nothing else.",
    },
];
