//! Ends that no answer of a source brought: what linkyd does not ask for, and how a consent journey can end.
//!
//! They have codes like everything else, so that whoever reads a code finds out here whether asking again helps and
//! what to do.

use crate::source::enedis::consent::Failed;

/// Such an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Its code.
    pub code: &'static str,
    /// Whether asking again helps without anybody doing something about it.
    pub helps: bool,
    /// What happened and what to do.
    pub advice: &'static str,
}

/// A call that did not leave.
pub const NOT_MADE: Outcome = Outcome {
    code: "not_made",
    helps: true,
    advice: "The call was not made: no call is left, the source rests, or the moment for it had passed. linkyd makes it later.",
};

/// Days that rest because a pass kept asking for them.
pub const REPEATED: Outcome = Outcome {
    code: "repeated",
    helps: true,
    advice: "The same call came up again and again in one pass, so these days rest until the next. Please report this as a defect of linkyd.",
};

/// A dataset that no source of the meter has.
pub const NOT_OFFERED: Outcome = Outcome {
    code: "not_offered",
    helps: false,
    advice: "No source of the meter offers this dataset. Take it from the meter's datasets, or add a source that does.",
};

/// What can end a pass or a call.
pub const OF_PASSES: [Outcome; 3] = [NOT_MADE, REPEATED, NOT_OFFERED];

/// A journey that somebody stopped.
pub const STOPPED: Outcome = Outcome {
    code: "stopped",
    helps: true,
    advice: "Somebody stopped linkyd on the way. Nothing is lost; go on as the message says.",
};

/// There is no journey to go on with.
pub const NOTHING_OPEN: Outcome = Outcome {
    code: "consent_nothing_open",
    helps: false,
    advice: "No journey brought an authorisation whose meter is still to be found. Begin one with `linkyd authorize`.",
};

/// An authorisation with several meters.
pub const SEVERAL: Outcome = Outcome {
    code: "consent_several",
    helps: false,
    advice: "Enedis lists several meters under one authorisation, which no consent should; nothing was stored, please report it.",
};

/// An authorisation that is over.
pub const ENDED: Outcome = Outcome {
    code: "consent_ended",
    helps: false,
    advice: "Enedis lists the authorisation as over or withdrawn. Give the consent again.",
};

/// An authorisation whose meter is not listed.
pub const NOT_LISTED: Outcome = Outcome {
    code: "consent_not_listed",
    helps: true,
    advice: "The consent is given, but Enedis does not list its meter yet. Passes look for it for a week; `linkyd authorize --continue` looks now.",
};

/// How a journey can end beside what the browser brings back.
pub const OF_JOURNEYS: [Outcome; 5] = [NOT_LISTED, ENDED, SEVERAL, NOTHING_OPEN, STOPPED];

/// Whether asking again helps after such an end.
pub(super) fn retry_helps(code: &str) -> Option<bool> {
    let own = OF_PASSES.iter().chain(&OF_JOURNEYS).find(|outcome| outcome.code == code).map(|outcome| outcome.helps);
    own.or_else(|| Failed::every().iter().find(|failed| failed.code() == code).map(Failed::retry_helps))
}
