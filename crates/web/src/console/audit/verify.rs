//! `/audit/verify`: walks the chain and says whether it is whole.

use askama::Template;
use serde::Deserialize;

use crate::console::Shown;
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::html::AsCode;
use crate::ui::number::of;

/// The dialog.
#[derive(Template)]
#[template(path = "console/audit/verify.html")]
struct Verdict {
    is_whole: bool,
    broken_at: Option<u64>,
    entries: String,
    code: AsCode,
}

#[derive(Deserialize)]
struct AuditVerdict {
    intact: bool,
    entries: u64,
    #[serde(default)]
    broken_at: Option<u64>,
}

pub(super) async fn verify(visit: Visit) -> Shown {
    let verdict: AuditVerdict = visit.get("/v1/audit/verify").await?;
    let content = Verdict {
        is_whole: verdict.intact,
        broken_at: verdict.broken_at,
        entries: of(verdict.entries, "entry", "entries"),
        code: AsCode::new("keystile audit verify".into(), &visit.origin, "GET", "/v1/audit/verify", None),
    };
    Ok(visit.modal(Place::Audit, "Verify the chain", &content))
}
