//! `/team`: who is in, who is invited, and what roles there are.

use askama::Template;

use super::{Invitation, MemberRole, rights_told};
use crate::console::Shown;
use crate::console::model::List;
use crate::console::people::{Member, People};
use crate::console::shell::Place;
use crate::console::visit::Visit;
use crate::ui::form::query;
use crate::ui::html::Badge;
use crate::ui::number::of;
use crate::ui::time::Moment;

/// Members of a page.
const ROWS: &str = "50";

/// The page.
#[derive(Template)]
#[template(path = "console/team/list.html")]
struct Team {
    email: String,
    members: Vec<Row>,
    next: Option<String>,
    is_first: bool,
    invitations: Vec<Invited>,
    roles: Vec<Role>,
    may_write: bool,
}

struct Row {
    id: String,
    name: String,
    email: String,
    role: String,
    factor: Badge,
    since: Moment,
    is_you: bool,
}

struct Invited {
    id: String,
    email: String,
    role: String,
    by: String,
    badge: Badge,
    expires: Moment,
    is_open: bool,
}

struct Role {
    id: String,
    name: String,
    about: String,
    rights: String,
    count: String,
}

pub(super) async fn list(visit: Visit) -> Shown {
    let asked = &visit.query;
    let pairs = [("limit", ROWS), ("cursor", asked.one("cursor")), ("email", asked.one("email"))];
    let members: List<Member> = visit.get(&format!("/v1/members?{}", query(&pairs))).await?;
    let invitations: List<Invitation> = visit.get("/v1/invitations?limit=50").await?;
    let roles: List<MemberRole> = visit.get("/v1/member_roles?limit=200").await?;
    let people = People::of(&visit).await;
    let own = visit.who.account.as_ref().map(|account| account.email.clone()).unwrap_or_default();
    let rows = members.items.into_iter().map(|member| Row {
        is_you: member.email == own,
        name: if member.name.is_empty() { member.email.clone() } else { member.name },
        id: member.id,
        email: member.email,
        role: member.role,
        factor: match member.has_second_factor {
            true => Badge::new("ok", "Second factor"),
            false => Badge::new("warn", "Password alone"),
        },
        since: visit.zone.day(member.created_at),
    });
    let invited = invitations.items.into_iter().map(|one| Invited {
        is_open: one.state == "open",
        badge: badge(&one.state),
        id: one.id,
        email: one.email.unwrap_or_else(|| "Whoever has the link".into()),
        role: one.role,
        by: people.actor(&one.made_by),
        expires: visit.zone.minute(one.expires_at),
    });
    let roles = roles.items.into_iter().map(|role| Role {
        rights: rights_told(&role.permissions),
        count: of(role.permissions.len() as u64, "permission", "permissions"),
        id: role.id,
        name: role.name,
        about: role.description,
    });
    let content = Team {
        email: asked.one("email").into(),
        members: rows.collect(),
        next: members.next_cursor.map(|cursor| format!("/team?{}", query(&[("cursor", &cursor)]))),
        is_first: asked.one("cursor").is_empty(),
        invitations: invited.collect(),
        roles: roles.collect(),
        may_write: visit.may("members.write"),
    };
    Ok(visit.page(Place::Team, "Team", &content))
}

fn badge(state: &str) -> Badge {
    match state {
        "open" => Badge::new("warn", "Open"),
        "accepted" => Badge::new("ok", "Accepted"),
        "withdrawn" => Badge::new("off", "Taken back"),
        "expired" => Badge::new("off", "Expired"),
        other => Badge::new("off", other),
    }
}
