//! The one list of rights at the management API. Permissions of management keys and of members' roles are made of their names.

/// A right that a handler can ask for.
pub(super) trait Right: Send + Sync + 'static {
    /// The permission that it takes.
    const NAME: &'static str;
    /// Whether a person must have proven just now who they are.
    const STEP_UP: bool;
}

/// None in particular: whoever is known may.
pub(super) struct Anybody;

impl Right for Anybody {
    const NAME: &'static str = "";
    const STEP_UP: bool = false;
}

macro_rules! rights {
    ($(#[doc = $about:literal] $name:ident = $text:literal $(, $step_up:ident)?;)*) => {
        $(
            #[doc = $about]
            pub(super) struct $name;
            impl Right for $name {
                const NAME: &'static str = $text;
                const STEP_UP: bool = false $(|| stringify!($step_up).len() == 7)?;
            }
        )*

        /// Every right: its name, what it lets its holder do, and whether a person proves first who they are.
        pub const RIGHTS: &[(&str, &str, bool)] = &[$(($text, $about, $name::STEP_UP),)*];
    };
}

rights! {
    /// See APIs.
    ReadApis = "apis.read";
    /// Publish, change and withdraw APIs.
    WriteApis = "apis.write";
    /// See projects.
    ReadProjects = "projects.read";
    /// Make, change and delete projects.
    WriteProjects = "projects.write";
    /// See activations.
    ReadActivations = "activations.read";
    /// Ask for, grant and take back activations.
    WriteActivations = "activations.write";
    /// See which project may call which API, and when it last did.
    ReadAccess = "access.read";
    /// See keys.
    ReadKeys = "keys.read";
    /// Issue, change, revoke and delete keys.
    WriteKeys = "keys.write";
    /// Have the texts of keys back that can be: whoever may can make calls as all of them.
    RevealKeys = "keys.reveal", step_up;
    /// See roles.
    ReadRoles = "roles.read";
    /// Make, change and delete roles: whoever may decides what the keys that have them may do.
    WriteRoles = "roles.write";
    /// See plans.
    ReadPlans = "plans.read";
    /// Make, change and delete plans: whoever may decides how much the projects that have them may do.
    WritePlans = "plans.write";
    /// See credits, what is left of them, and what was charged.
    ReadCredits = "credits.read";
    /// Grant credits and take them back: whoever may gives calls away.
    WriteCredits = "credits.write";
    /// See patterns.
    ReadPatterns = "patterns.read";
    /// Make, change and delete patterns: whoever may decides what the keys and projects that have them may do.
    WritePatterns = "patterns.write";
    /// See usage.
    ReadUsage = "usage.read";
    /// Record usage and correct it: whoever may decides what is billed.
    WriteUsage = "usage.write";
    /// See single calls: who called what, from where, and what was answered.
    ReadRequests = "requests.read";
    /// See webhooks and their deliveries.
    ReadWebhooks = "webhooks.read";
    /// Make, change, try and delete webhooks: whoever may learns, at an address of their own, of every event.
    WriteWebhooks = "webhooks.write";
    /// See what was changed, and by whom.
    ReadEvents = "events.read";
    /// See that with all that is known of it, addresses and requests too, and whether anything of it was altered.
    ReadAudit = "audit.read";
    /// See members, their sessions and roles, and who is invited.
    ReadMembers = "members.read";
    /// Invite members, give them roles, end their sessions, take them away: whoever may gives nobody more than they may themselves.
    WriteMembers = "members.write", step_up;
    /// Export all that is kept about a consumer.
    ReadPrivacy = "privacy.read", step_up;
    /// Erase a consumer, for ever.
    WritePrivacy = "privacy.write", step_up;
    /// See organizations: one's own, and all of them in the organization that runs the installation.
    ReadOrganizations = "organizations.read";
    /// Make organizations and change them.
    WriteOrganizations = "organizations.write", step_up;
    /// See what secrets are encrypted under and texts of keys are hashed with.
    ReadEncryption = "encryption.read";
    /// Change that for the whole installation.
    WriteEncryption = "encryption.write", step_up;
}
