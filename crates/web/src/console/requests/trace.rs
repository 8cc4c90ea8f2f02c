//! Why a request was answered as it was: the questions in the order in which they are asked, up to the one that decided.

use keystile_core::Code;

/// A question, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The question.
    pub(super) question: &'static str,
    /// Its answer.
    pub(super) answer: Answer,
}

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It let the call go on.
    Passed,
    /// It decided.
    Decided,
    /// Nobody asked it any more.
    Unasked,
}

impl Asked {
    /// Its class and icon.
    pub(super) fn mark(&self) -> (&'static str, &'static str, &'static str) {
        match self.answer {
            Answer::Passed => ("ok", "check", "passed"),
            Answer::Decided => ("bad", "x", "decided"),
            Answer::Unasked => ("off", "ellipsis", "not asked"),
        }
    }
}

/// The questions, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Request,
    Api,
    Key,
    State,
    Expiry,
    Kind,
    Access,
    Environment,
    Formats,
    Restrictions,
    Patterns,
    Permissions,
    Limits,
    Upstream,
}

impl Question {
    const ALL: [Self; 14] = [
        Self::Request,
        Self::Api,
        Self::Key,
        Self::State,
        Self::Expiry,
        Self::Kind,
        Self::Access,
        Self::Environment,
        Self::Formats,
        Self::Restrictions,
        Self::Patterns,
        Self::Permissions,
        Self::Limits,
        Self::Upstream,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Request => "Is the request sound?",
            Self::Api => "Which API and operation is it for?",
            Self::Key => "Whose key is it?",
            Self::State => "Is the key revoked or disabled?",
            Self::Expiry => "Has it ended?",
            Self::Kind => "Is it of the kind that opens this?",
            Self::Access => "May its project call this API?",
            Self::Environment => "Is it of the right environment?",
            Self::Formats => "Does the API take what is sent?",
            Self::Restrictions => "May it be used from there, then, for this?",
            Self::Patterns => "Do its patterns let the call pass?",
            Self::Permissions => "Does it have the permissions?",
            Self::Limits => "Do limits, quotas and credits leave room?",
            Self::Upstream => "Did the API behind answer?",
        }
    }
}

/// The question that a code answers; `None` if all of them let the call pass.
fn decided_by(code: Code) -> Option<Question> {
    Some(match code {
        Code::Allowed | Code::ClientGone => return None,
        Code::RequestMalformed
        | Code::CredentialsAmbiguous
        | Code::MethodNotAllowed
        | Code::RequestTimeout
        | Code::TargetTooLong
        | Code::HeadersTooLarge
        | Code::NotImplemented
        | Code::Overloaded
        | Code::Stale
        | Code::LoopDetected
        | Code::TlsRequired => Question::Request,
        Code::RouteUnknown | Code::OperationUnknown => Question::Api,
        Code::KeyMissing
        | Code::KeyMalformed
        | Code::KeyUnknown
        | Code::KeyExposed
        | Code::KeyMisplaced
        | Code::Unidentified => Question::Key,
        Code::KeyRevoked | Code::KeyDisabled => Question::State,
        Code::KeyExpired => Question::Expiry,
        Code::KeyKindForbidden => Question::Kind,
        Code::ApiInactive | Code::NotActivated | Code::Suspended => Question::Access,
        Code::EnvironmentForbidden => Question::Environment,
        Code::MediaTypeUnsupported | Code::ContentTooLarge => Question::Formats,
        Code::OperationForbidden
        | Code::NetworkForbidden
        | Code::OriginForbidden
        | Code::FormatForbidden
        | Code::TimeForbidden
        | Code::CountryForbidden
        | Code::AppForbidden
        | Code::CertificateMissing
        | Code::CertificateForbidden => Question::Restrictions,
        Code::PatternForbidden => Question::Patterns,
        Code::PermissionMissing => Question::Permissions,
        Code::RateLimited | Code::QuotaExhausted | Code::CreditsExhausted => Question::Limits,
        Code::UpstreamUnreachable | Code::UpstreamTimeout | Code::UpstreamDown => Question::Upstream,
    })
}

/// The questions with what came of each.
pub(super) fn trace(code: Code) -> Vec<Asked> {
    let end = decided_by(code);
    let mut answer = Answer::Passed;
    let mut all = Vec::new();
    for question in Question::ALL {
        if Some(question) == end {
            all.push(Asked { question: question.text(), answer: Answer::Decided });
            answer = Answer::Unasked;
        } else {
            all.push(Asked { question: question.text(), answer });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_decided_by_one_question_and_nothing_is_asked_after_it() {
        for code in Code::ALL.iter().copied() {
            let told = trace(code);
            let decided: Vec<usize> = (0..told.len()).filter(|at| told[*at].answer == Answer::Decided).collect();
            match decided.as_slice() {
                [] => assert!(told.iter().all(|asked| asked.answer == Answer::Passed), "{code:?}"),
                [at] => {
                    assert!(told[..*at].iter().all(|asked| asked.answer == Answer::Passed), "{code:?}");
                    assert!(told[at + 1..].iter().all(|asked| asked.answer == Answer::Unasked), "{code:?}");
                }
                _ => panic!("{code:?} is decided twice"),
            }
        }
    }
}
