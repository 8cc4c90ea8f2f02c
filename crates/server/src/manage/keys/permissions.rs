//! `GET /v1/keys/{id}/permissions`: what a key was granted, and what of it was used.
//!
//! A permission is used by a call that was let through to an operation which asks for something that the permission
//! covers. What an operation asks for stands in its API's document; where nobody says it, nothing is known, and nothing is
//! called unused.

use std::collections::HashMap;

use axum::extract::State;
use keystile_core::decide::ActivationState;
use keystile_core::id::{ApiId, KeyId, RoleId};
use keystile_core::permission::Permission;
use keystile_core::role::RoleName;
use keystile_core::time::Timestamp;
use keystile_core::usage::Bucket;
use keystile_store::records::{Key, Role};
use keystile_store::{GroupBy, UsageQuery, UsageRow};
use serde::Serialize;
use utoipa::ToSchema;

use super::activity::{Asked, since};
use crate::enforce::operations::UNDOCUMENTED;
use crate::enforce::snapshot::Snapshot;
use crate::manage::app::App;
use crate::manage::caller::{Caller, ReadKeys};
use crate::manage::extract::{Id, Query};
use crate::manage::problem::internal;
use crate::problem::Problem;

/// Rows that are read of the ledger at a time.
const PAGE: u32 = 20_000;
/// Rows that are read in all: a hundred operations in every hour of eighty days.
const MAX_ROWS: u64 = 200_000;
/// Operations that are named for a permission, those with the most calls.
const MAX_OPERATIONS: usize = 100;

/// What a key was granted, and what of it was used.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyPermissions {
    /// From this moment, to the hour.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// Until this one.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Whether all is known that the key used. If not, `unknown` says why, and nothing is said to be unused.
    complete: bool,
    /// Why not all is known.
    unknown: Vec<Unknown>,
    /// What it was granted.
    permissions: Vec<Granted>,
    /// Those of them that were not used; `null` where that can't be known.
    #[schema(value_type = Option<Vec<String>>)]
    unused: Option<Vec<Permission>>,
}

/// Something of which nobody knows what it used.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = UnknownUse)]
struct Unknown {
    /// Where; `null` for calls that name no API, or one that is gone.
    #[schema(value_type = Option<String>)]
    api_id: Option<ApiId>,
    /// Why, and what to do.
    reason: &'static str,
}

/// A permission that was granted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrantedPermission)]
struct Granted {
    /// The permission.
    #[schema(value_type = String, example = "pets.read")]
    permission: Permission,
    /// Whether the key has it by itself.
    own: bool,
    /// The roles that grant it.
    roles: Vec<GrantingRole>,
    /// Whether it was used; `null` where that can't be known.
    used: Option<bool>,
    /// Calls that used it.
    calls: u64,
    /// When the last one came, to the hour.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// What they called, the most called first; at most 100.
    operations: Vec<UsedBy>,
}

/// A role that grants a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct GrantingRole {
    /// Its id.
    #[schema(value_type = String)]
    id: RoleId,
    /// Its name.
    #[schema(value_type = String)]
    name: RoleName,
}

/// An operation that a permission was used by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct UsedBy {
    /// Its API.
    #[schema(value_type = String)]
    api_id: ApiId,
    /// The operation, such as `GET /pets/{id}`.
    operation: String,
    /// Calls that were let through.
    calls: u64,
    /// When the last one came, to the hour.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

/// What a key may do, by which of its roles, and what of it its calls used since a moment.
#[utoipa::path(get, operation_id = "readKeyPermissions", path = "/v1/keys/{id}/permissions", tag = "Keys", params(("id" = String, Path), Asked),
    security(("management_key" = [])),
    responses((status = 200, body = KeyPermissions), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn read(
    caller: Caller<ReadKeys>,
    State(app): State<App>,
    Id(id): Id<KeyId>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<KeyPermissions>, Problem> {
    let key = app.key(&caller, id).await?;
    let since = since(&app, asked.since)?.floor_secs(Bucket::Hour.secs());
    let mut roles = Vec::with_capacity(key.policy.roles.len());
    for role in &key.policy.roles {
        roles.extend(app.catalog.role(caller.organization, *role).await.map_err(|error| internal(&error))?);
    }
    app.writer.flush().await.map_err(|error| internal(&error))?;
    let until = app.now();
    let (calls, is_cut) = calls_of(&app, &key, since, until).await?;
    let number =
        app.catalog.project_number(caller.organization, key.project).await.map_err(|error| internal(&error))?;
    let (used, mut unknown) = asked_for(&app.feed.engine().snapshot, number, calls);
    if is_cut {
        unknown.push(Unknown { api_id: None, reason: "There are too many calls to look at; ask for a shorter time." });
    }
    let complete = unknown.is_empty();
    let permissions: Vec<Granted> =
        granted(&key, &roles).into_iter().map(|granted| granted.judged(&used, complete)).collect();
    let unused = permissions.iter().filter(|granted| granted.used == Some(false));
    let unused = complete.then(|| unused.map(|granted| granted.permission.clone()).collect());
    Ok(axum::Json(KeyPermissions { since, until, complete, unknown, permissions, unused }))
}

/// Calls of an operation that were let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Calls {
    calls: u64,
    last: Timestamp,
}

/// What a key called, by API and label; and whether there was more.
type Called = HashMap<(u32, String), Calls>;

async fn calls_of(app: &App, key: &Key, from: Timestamp, until: Timestamp) -> Result<(Called, bool), Problem> {
    let mut called = Called::new();
    let mut query = UsageQuery {
        bucket: Some(Bucket::Hour),
        by: GroupBy { api: true, label: true, code: true, ..GroupBy::default() },
        key: Some(key.number),
        limit: PAGE,
        ..UsageQuery::of((from, until.plus_secs(1)))
    };
    while query.after < MAX_ROWS {
        let rows = app.ledger.usage(&query).await.map_err(|error| internal(&error))?;
        let is_last = rows.len() < PAGE as usize;
        rows.into_iter().for_each(|row| add(&mut called, row));
        if is_last {
            return Ok((called, false));
        }
        query.after += u64::from(PAGE);
    }
    Ok((called, true))
}

fn add(called: &mut Called, row: UsageRow) {
    let (Some(code), Some(start), Some(label)) = (row.code, row.start, row.label) else { return };
    if code.is_refusal() {
        return;
    }
    let calls = called.entry((row.api.unwrap_or(0), label)).or_insert(Calls { calls: 0, last: start });
    calls.calls += row.counts.calls;
    calls.last = calls.last.max(start);
}

/// An operation that was called, and what it asks for.
struct Used {
    by: UsedBy,
    names: Vec<String>,
}

/// What the operations asked for that were called, and of what that is not known: of each API that the key may call, and of
/// all that it did call.
fn asked_for(snapshot: &Snapshot, project: Option<u32>, called: Called) -> (Vec<Used>, Vec<Unknown>) {
    const SILENT: &str = "The API does not say which permissions its operations need; give it an OpenAPI document and set \
                          operation_permissions.";
    const UNNAMED: &str = "Verifications of the key named no operation; send operation with them.";
    const GONE: &str = "Operations were called that the API's document does not have any more.";
    let mut unknown: Vec<Unknown> = Vec::new();
    let mut note = |api_id, reason| {
        let one = Unknown { api_id, reason };
        if !unknown.contains(&one) {
            unknown.push(one);
        }
    };
    let project = project.and_then(|number| snapshot.projects.get(number).as_ref().cloned());
    let links = project.iter().flat_map(|project| &project.links);
    for link in links.filter(|link| link.state == ActivationState::Approved) {
        if let Some(api) = snapshot.apis.get(link.api).as_ref()
            && api.operations.asking().is_none()
        {
            note(Some(api.id), SILENT);
        }
    }
    let mut used = Vec::new();
    for ((number, label), calls) in called {
        let api = snapshot.apis.get(number);
        let Some(api) = api.as_ref() else {
            note(None, if number == 0 { UNNAMED } else { "An API was called that is gone." });
            continue;
        };
        let Some(mut asking) = api.operations.asking() else {
            note(Some(api.id), SILENT);
            continue;
        };
        if label.starts_with(UNDOCUMENTED.trim_end()) {
            // Of a call that the document does not have nothing is asked.
            continue;
        }
        match asking.find(|(operation, _)| ***operation == *label) {
            Some((_, needs)) => {
                let names = needs.map(|needs| needs.names().into_iter().map(str::to_owned).collect());
                let by = UsedBy { api_id: api.id, operation: label, calls: calls.calls, last_at: calls.last };
                used.push(Used { by, names: names.unwrap_or_default() });
            }
            None if label.starts_with('(') => note(Some(api.id), UNNAMED),
            None => note(Some(api.id), GONE),
        }
    }
    used.sort_by(|one, other| (other.by.calls, &one.by.operation).cmp(&(one.by.calls, &other.by.operation)));
    unknown.sort_by_key(|one| (one.api_id, one.reason));
    (used, unknown)
}

/// What a key has, each once, and from where.
fn granted(key: &Key, roles: &[Role]) -> Vec<Granted> {
    let all = key.policy.permissions.iter().chain(roles.iter().flat_map(|role| &role.permissions));
    let mut all: Vec<&Permission> = all.collect();
    all.sort();
    all.dedup();
    let by = |permission: &Permission| {
        let granting = roles.iter().filter(|role| role.permissions.contains(permission));
        granting.map(|role| GrantingRole { id: role.id, name: role.name.clone() }).collect()
    };
    let one = |permission: &Permission| Granted {
        permission: permission.clone(),
        own: key.policy.permissions.contains(permission),
        roles: by(permission),
        used: None,
        calls: 0,
        last_used_at: None,
        operations: Vec::new(),
    };
    all.into_iter().map(one).collect()
}

impl Granted {
    /// With what used it. Where not all is known, what was not seen may have been used all the same.
    fn judged(mut self, used: &[Used], complete: bool) -> Self {
        for one in used.iter().filter(|one| one.names.iter().any(|name| self.permission.covers(name))) {
            self.calls += one.by.calls;
            self.last_used_at = self.last_used_at.max(Some(one.by.last_at));
            if self.operations.len() < MAX_OPERATIONS {
                self.operations.push(one.by.clone());
            }
        }
        self.used = if self.calls > 0 { Some(true) } else { complete.then_some(false) };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(names: &[&str], calls: u64, secs: i64) -> Used {
        let by = UsedBy {
            api_id: ApiId::from_entropy([1; 16]),
            operation: names.join(" "),
            calls,
            last_at: Timestamp::from_secs(secs),
        };
        Used { by, names: names.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn judged(permission: &str, complete: bool) -> (Option<bool>, u64, Option<i64>) {
        let granted = Granted {
            permission: permission.parse().unwrap(),
            own: true,
            roles: Vec::new(),
            used: None,
            calls: 0,
            last_used_at: None,
            operations: Vec::new(),
        };
        let all = [used(&["pets.read"], 3, 20), used(&["pets.write", "admin"], 2, 30), used(&[], 9, 40)];
        let judged = granted.judged(&all, complete);
        (judged.used, judged.calls, judged.last_used_at.map(|at| at.as_secs()))
    }

    #[test]
    fn a_permission_is_used_by_what_asks_for_something_that_it_covers() {
        for (permission, expected) in [
            ("pets.read", (Some(true), 3, Some(20))),
            ("pets.*", (Some(true), 5, Some(30))),
            ("admin", (Some(true), 2, Some(30))),
            ("*", (Some(true), 5, Some(30))),
            ("shop.read", (Some(false), 0, None)),
        ] {
            assert_eq!(judged(permission, true), expected, "{permission}");
        }
        assert_eq!(judged("pets.read", false).0, Some(true), "what was seen was seen");
        assert_eq!(judged("shop.read", false).0, None, "what was not seen may have happened elsewhere");
    }
}
