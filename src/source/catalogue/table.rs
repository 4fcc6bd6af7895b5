//! The table of everything that an answer can be besides data.
//!
//! A row is found by where the answer came from, its HTTP status and its normalised code; the
//! first that fits counts. Rows with a code come first, rows for any other code after them, the
//! most special first. What only the gateways answer stands in [`super::gateways`]. docs/errors.md
//! shows the whole table and is generated from it.

use std::ops::RangeInclusive;

use super::Front;
use crate::source::envelope::Shape;
use crate::source::{Reaches, Reaction};

/// Which answers a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// To a request for measures or about a customer.
    Data,
    /// To a request about a customer alone.
    Customer,
    /// To the request for a token.
    Token,
    /// To either.
    Both,
    /// None of the source's: linkyd found the trouble itself.
    Own,
}

/// One line of the catalogue.
pub(super) struct Row {
    /// Who answers like that; empty for anyone.
    pub(super) fronts: &'static [Front],
    /// The normalised code; empty for any other.
    pub(super) code: &'static str,
    /// The name under which it is stored and shown, where that is not the code: what the code calls
    /// for depends on who gave it, and a stored name must lead back to this row.
    pub(super) name: &'static str,
    /// Where it is seen.
    pub(super) at: At,
    /// With which status.
    pub(super) status: RangeInclusive<u16>,
    /// With which bodies; empty for any.
    pub(super) shapes: &'static [Shape],
    /// What it calls for.
    pub(super) reaction: Reaction,
    /// What happened and what to do.
    pub(super) advice: &'static str,
}

impl Row {
    /// What is stored of it: its name, else its code; empty where that is the status.
    pub(super) fn stored(&self) -> &'static str {
        if self.name.is_empty() { self.code } else { self.name }
    }
}

pub(super) const ANY: RangeInclusive<u16> = 100..=599;

/// A row for a code, whatever the status.
const fn code(code: &'static str, at: At, reaction: Reaction, advice: &'static str) -> Row {
    Row { fronts: &[], code, name: "", at, status: ANY, shapes: &[], reaction, advice }
}

/// A row for any other code.
const fn status(
    status: RangeInclusive<u16>,
    at: At,
    shapes: &'static [Shape],
    reaction: Reaction,
    advice: &'static str,
) -> Row {
    Row { fronts: &[], code: "", name: "", at, status, shapes, reaction, advice }
}

const STOP_METER: Reaction = Reaction::StopMeter(Reaches::Meter);
const STOP_APP: Reaction = Reaction::StopApp { credentials: false };
const WRONG_CREDENTIALS: Reaction = Reaction::StopApp { credentials: true };

const CREDENTIALS: &str = "Client identifier or secret were refused. Compare them with the application's page on Enedis' DataHub, and see there whether the application is still active.";
const APPLICATION: &str = "The application is not set up for this kind of access. Look at its page on Enedis' DataHub.";
const QUOTA: &str = "The source's quota of calls is used up; linkyd waits until it opens again. If this happens daily, lower requests_per_hour: other programs may share the application.";
const BURST: &str = "Too many calls within a second; linkyd pauses and slows down by itself.";
const TOKEN: &str = "The access token is no longer valid; linkyd fetches a new one and asks once more.";
const BACKEND: &str = "A system behind Enedis' API gateway does not answer. Nothing to do: linkyd asks again later.";
const NOT_SUBSCRIBED: &str =
    "The application is not subscribed to this API. Subscribe it on Enedis' DataHub; other APIs go on meanwhile.";
const HOLDER: &str = "Enedis does not see the person who gave the consent as the holder of this meter's contract. In the days after a new consent this can be a passing fault; later, look in the customer account and give the consent again.";
const TOO_OLD: &str =
    "The days lie before the history that Enedis keeps; linkyd goes on with the first day that is served.";
const TOO_LONG: &str = "The span was longer than Enedis allows for a load curve; linkyd asks in smaller parts.";
const NO_DATA: &str = "Enedis has no readings for these days: not published yet, a meter that did not report, or a curve that is not recorded. linkyd asks again on a widening schedule.";
const NO_SITUATION: &str =
    "Enedis knows no contract or installation of this meter. Measures go on; linkyd asks again once a week.";
const TECHNICAL: &str = "A technical fault at Enedis; it can last for days, and is common in the hours after a new consent. Nothing to do: linkyd asks again later.";
const DEFECT: &str =
    "Enedis calls the request malformed. Asking again would not help: please report this as a defect of linkyd.";

/// The catalogue.
pub(super) static ROWS: &[Row] = &[
    // Token.
    code("INVALID-CLIENT", At::Token, WRONG_CREDENTIALS, CREDENTIALS),
    code("UNAUTHORIZED", At::Token, WRONG_CREDENTIALS, CREDENTIALS),
    code("900901", At::Token, WRONG_CREDENTIALS, CREDENTIALS),
    code("INVALID-SCOPE", At::Token, STOP_APP, APPLICATION),
    code("UNAUTHORIZED-CLIENT", At::Token, STOP_APP, APPLICATION),
    code("UNSUPPORTED-GRANT-TYPE", At::Token, STOP_APP, APPLICATION),
    code("INVALID-GRANT", At::Token, Reaction::Bug, DEFECT),
    // Contracts, addresses, people, subscribed services.
    Row {
        name: "no_services",
        status: 400..=400,
        ..code(
            "BAD-REQUEST",
            At::Customer,
            Reaction::StopDataset,
            "Nothing of this meter is shared with the application under this heading. Measures go on.",
        )
    },
    Row {
        name: "no_situation",
        ..status(404..=404, At::Customer, &[Shape::Json], Reaction::StopDataset, NO_SITUATION)
    },
    // The gateway in front of both APIs.
    code(
        "900900",
        At::Both,
        Reaction::RetryShort,
        "Enedis' API gateway could not check the access. linkyd asks again shortly.",
    ),
    code("900901", At::Data, Reaction::Reauth, TOKEN),
    code("900903", At::Data, Reaction::Reauth, TOKEN),
    code("900904", At::Data, Reaction::Reauth, TOKEN),
    code("900902", At::Both, Reaction::Bug, DEFECT),
    code("900905", At::Both, STOP_APP, APPLICATION),
    code("900910", At::Both, STOP_APP, APPLICATION),
    code(
        "900906",
        At::Both,
        Reaction::StopApi,
        "Enedis' API gateway does not know this address: this API may have been retired. Set api = \"2026\", or look for an update of linkyd.",
    ),
    code(
        "900907",
        At::Both,
        Reaction::RetryLater,
        "Enedis has blocked this API for the time being. linkyd asks again later.",
    ),
    code(
        "700700",
        At::Both,
        Reaction::RetryLater,
        "Enedis has blocked this API for the time being. linkyd asks again later.",
    ),
    code("900908", At::Both, Reaction::StopApi, NOT_SUBSCRIBED),
    code(
        "900909",
        At::Both,
        Reaction::StopApi,
        "The application's subscription to this API is not active. Look at it on Enedis' DataHub; other APIs go on meanwhile.",
    ),
    code("900800", At::Both, Reaction::RetryAt(None), QUOTA),
    code("900802", At::Both, Reaction::RetryAt(None), QUOTA),
    code("900803", At::Both, Reaction::RetryAt(None), QUOTA),
    code("900804", At::Both, Reaction::RetryAt(None), QUOTA),
    code("900806", At::Both, Reaction::RetryAt(None), QUOTA),
    code("900807", At::Both, Reaction::Burst, BURST),
    code("QUOTA-Q3", At::Both, Reaction::Burst, BURST),
    code("QUOTA-Q4", At::Both, Reaction::RetryAt(None), QUOTA),
    code(
        "900805",
        At::Both,
        STOP_APP,
        "Enedis' API gateway has blocked the application or this address. linkyd calls very rarely now: ask Enedis for the cause before resuming.",
    ),
    code("101500", At::Both, Reaction::RetryLater, BACKEND),
    code("101501", At::Both, Reaction::RetryLater, BACKEND),
    code("101503", At::Both, Reaction::RetryLater, BACKEND),
    code("101504", At::Both, Reaction::RetryLater, BACKEND),
    code("101505", At::Both, Reaction::RetryLater, BACKEND),
    code("101506", At::Both, Reaction::RetryLater, BACKEND),
    code("101507", At::Both, Reaction::RetryLater, BACKEND),
    code("101508", At::Both, Reaction::RetryLater, BACKEND),
    code("303000", At::Both, Reaction::RetryLater, BACKEND),
    code("303001", At::Both, Reaction::RetryLater, BACKEND),
    // Consent and holder.
    code("ADAM-DC-0007", At::Data, STOP_METER, HOLDER),
    code("ADAM-ERR0061", At::Data, STOP_METER, HOLDER),
    code(
        "ADAM-DC-0008",
        At::Data,
        Reaction::StopMeter(Reaches::Direction),
        "There is no valid consent for this meter and this direction: never given, expired, revoked, or given for another meter. Give it again in the customer account; for production the production meter must be part of it.",
    ),
    code(
        "ADAM-DC-0009",
        At::Data,
        Reaction::ClampActivation,
        "The days lie before the consent begins; linkyd looks for the first day that is served.",
    ),
    code(
        "UNAUTHORIZED-USER",
        At::Data,
        STOP_METER,
        "The application may not read this meter. Give the consent again in the customer account.",
    ),
    code(
        "STM-ERR-0000019",
        At::Data,
        STOP_METER,
        "Enedis does not know this meter, or the application may not read it. Check the PRM in the configuration and the consent.",
    ),
    code(
        "ADAM-ERR0191",
        At::Data,
        STOP_METER,
        "No access service covers this meter for these days. Give the consent again in the customer account.",
    ),
    code(
        "BAD-REQUEST",
        At::Data,
        Reaction::StopDataset,
        "No service is subscribed for this meter, so it does not have this dataset.",
    ),
    // Period and history.
    code("ADAM-ERR0126", At::Data, Reaction::Narrow, TOO_LONG),
    code("ADAM-DC-0015", At::Data, Reaction::Narrow, TOO_LONG),
    code("ADAM-ERR0125", At::Data, Reaction::ClampHistory, TOO_OLD),
    code("ADAM-DC-0016", At::Data, Reaction::ClampHistory, TOO_OLD),
    code(
        "ADAM-ERR0123",
        At::Data,
        Reaction::ClampActivation,
        "The days lie before the meter was put into service for this holder; linkyd looks for the first day that is served. It is seen as well for broken meters and for meters without production.",
    ),
    code(
        "ADAM-ERR0069",
        At::Data,
        Reaction::StopDataset,
        "The meter does not have this direction: consumption was asked of a production meter, or the reverse. Take the dataset out of the configuration.",
    ),
    code(
        "ADAM-ERR0075",
        At::Data,
        Reaction::StopDataset,
        "The customer has objected to the recording of the load curve. Turn on recording and collection of the hourly consumption in the customer account; both switches are needed.",
    ),
    // Parameters.
    code(
        "INVALID-REQUEST",
        At::Both,
        Reaction::Bug,
        "Enedis calls the request malformed. If it is about the end date, check this computer's clock; otherwise please report this as a defect of linkyd.",
    ),
    code("ADAM-ERR0002", At::Data, Reaction::Bug, DEFECT),
    // No data.
    code("NO-DATA-FOUND", At::Data, Reaction::NoData, NO_DATA),
    code("STM-ERR-0000014", At::Data, Reaction::NoData, NO_DATA),
    code("STM-ERR-0000020", At::Data, Reaction::NoData, NO_DATA),
    // Technical.
    code("TECHNICAL-ERROR", At::Data, Reaction::RetryLater, TECHNICAL),
    code("ADAM-DC-0500", At::Data, Reaction::RetryLater, TECHNICAL),
    code("STM-ERR-0000001", At::Data, Reaction::RetryLater, TECHNICAL),
    // Any other code, by status.
    status(
        200..=299,
        At::Both,
        &[],
        Reaction::RetryLater,
        "The answer claims success but holds an error. linkyd asks again later; if it lasts for days, report it with the code.",
    ),
    status(
        300..=399,
        At::Both,
        &[],
        Reaction::RetryLater,
        "The source sends callers to another address, which linkyd does not follow: maintenance, or a wrong base_url.",
    ),
    status(401..=401, At::Token, &[], WRONG_CREDENTIALS, CREDENTIALS),
    status(403..=403, At::Token, &[Shape::Json, Shape::Text, Shape::Empty], STOP_APP, APPLICATION),
    status(
        404..=404,
        At::Token,
        &[],
        Reaction::RetryLater,
        "There is no token service at this address. If it lasts, check base_url.",
    ),
    status(
        500..=503,
        At::Token,
        &[],
        Reaction::RetryShort,
        "Enedis' token service has a fault. linkyd asks again, ever more rarely.",
    ),
    status(
        400..=400,
        At::Both,
        &[],
        Reaction::Bug,
        "The source refuses the request for a reason that linkyd does not know. Other days go on; please report the code.",
    ),
    status(401..=401, At::Data, &[], Reaction::Reauth, TOKEN),
    status(
        403..=403,
        At::Both,
        &[Shape::Html],
        Reaction::RetryLater,
        "A web page refuses the call: security equipment in front of the source, or a ban of this address. linkyd asks again later; if it lasts, ask the source.",
    ),
    status(
        403..=403,
        At::Data,
        &[],
        STOP_METER,
        "The source refuses access to this meter for a reason that linkyd does not know. Check the consent, and report the code.",
    ),
    status(404..=404, At::Data, &[Shape::Json], Reaction::NoData, NO_DATA),
    status(
        404..=404,
        At::Data,
        &[],
        Reaction::RetryLater,
        "There is no service at this address. If every call ends like this, check base_url and the setting api.",
    ),
    status(405..=406, At::Both, &[], Reaction::Bug, DEFECT),
    status(
        408..=408,
        At::Both,
        &[],
        Reaction::RetryShort,
        "The source waited too long for the request. linkyd asks again shortly.",
    ),
    status(
        425..=425,
        At::Both,
        &[],
        Reaction::RetryShort,
        "The source was not ready for the request. linkyd asks again shortly.",
    ),
    status(429..=429, At::Both, &[], Reaction::RetryAt(None), QUOTA),
    status(
        410..=410,
        At::Both,
        &[],
        Reaction::StopApi,
        "The source says that this API is gone for good. Set api = \"2026\", or look for an update of linkyd.",
    ),
    status(402..=499, At::Both, &[], Reaction::Bug, DEFECT),
    status(
        500..=500,
        At::Both,
        &[Shape::Json, Shape::Empty],
        Reaction::RetryShort,
        "The source has a fault of a kind that linkyd does not know. It asks again shortly, then later.",
    ),
    status(
        500..=599,
        At::Both,
        &[],
        Reaction::RetryLater,
        "The source is out of order or under maintenance. Nothing to do: linkyd asks again later.",
    ),
    // What linkyd finds itself.
    code(
        "unreachable",
        At::Own,
        Reaction::RetryShort,
        "The source could not be reached. Check the network and the firewall of this computer, and base_url.",
    ),
    code(
        "dns",
        At::Own,
        Reaction::RetryShort,
        "The name of the source was not found. Check the name resolution and the network of this computer, and base_url.",
    ),
    code(
        "proxy",
        At::Own,
        Reaction::RetryShort,
        "The proxy did not let the connection through. Check HTTPS_PROXY and NO_PROXY of this process, and what the proxy allows.",
    ),
    code(
        "tls",
        At::Own,
        Reaction::RetryShort,
        "No secure connection came about. Check this computer's clock and whether a proxy intercepts TLS; linkyd never connects without checking.",
    ),
    code("timeout", At::Own, Reaction::RetryShort, "The source did not answer in time. linkyd asks again."),
    code(
        "cut",
        At::Own,
        Reaction::RetryShort,
        "The connection broke off in the middle of the answer. Nothing of it was kept; linkyd asks again.",
    ),
    code(
        "too_large",
        At::Own,
        Reaction::RetryLater,
        "The answer was larger than any that makes sense, and was not read to its end. If it lasts, something other than the source answers: check base_url.",
    ),
    code(
        "redirect",
        At::Own,
        Reaction::RetryLater,
        "The source sends callers to another address, which linkyd does not follow: maintenance, or a wrong base_url.",
    ),
    code(
        "undecodable",
        At::Own,
        Reaction::RetryLater,
        "The answer could not be read, and no value was taken from it. linkyd asks again later; if it lasts for days, look for an update of linkyd: `linkyd db replay` then reads what was kept of such answers.",
    ),
    code(
        "wrong_answer",
        At::Own,
        Reaction::RetryLater,
        "The answer is about another meter, other days, another direction or another unit, so it may be someone else's data. Nothing of it was kept. If it happens again, report it to the source.",
    ),
    code(
        "html",
        At::Own,
        Reaction::RetryLater,
        "A web page came instead of data: maintenance, security equipment, or a proxy with a login page. If it lasts, check base_url and the network.",
    ),
    code("empty", At::Own, Reaction::RetryLater, "The answer was empty. linkyd asks again later."),
    code(
        "consent_settling",
        At::Own,
        Reaction::RetryLater,
        "Enedis refuses a consent that was given only now. That has been seen to pass by itself within three days, so linkyd asks again later; after that, look in the customer account.",
    ),
];
