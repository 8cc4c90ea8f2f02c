//! The one door for writing: a change becomes rows, a revision and an audit entry in one transaction.
//!
//! Here is the frame that every change passes through; what a change does to its rows is in the room of its noun.
//! A row that belongs to another organization is answered like one that does not exist.

mod account;
mod activation;
mod api;
mod capacity;
mod compromise;
mod credit;
mod device;
pub(crate) mod encryption;
mod erase;
mod factor;
mod hand_over;
mod idempotency;
mod identity;
mod import;
mod invitation;
mod journal;
mod key;
mod link;
mod member;
mod member_role;
mod notice;
mod organization;
mod passkey;
mod pattern;
mod pepper;
mod plan;
mod policy;
mod project;
mod role;
mod secret;
mod session;
mod slow;
mod text;
mod thing;
mod version;
mod webhook;

pub(crate) use version::known as known_otherwise;

use keystile_core::id::OrganizationId;
use keystile_core::time::Timestamp;

use crate::audit::Shown;
use crate::catalog::CatalogParts;
use crate::condition::things;
use crate::db::{Columns, Connection, Row, sql};
use crate::records::KeyLimits;
use crate::{Actor, Applied, ApplyError, Author, Catalog, Change, Conditions, StoreError, Subject};

impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The organization that a change is made for.
#[derive(Clone, Copy)]
struct Tenant {
    id: OrganizationId,
    number: u32,
}

/// A change under way: what its rows need to know.
struct Work<'a> {
    db: &'a mut Connection,
    tenant: Tenant,
    at: Timestamp,
    /// The revision that the change will be.
    revision: u64,
    /// Who makes it.
    actor: Actor,
    /// How many keys there may be.
    key_limits: KeyLimits,
    /// What is known of the installation.
    parts: &'a CatalogParts,
}

impl Work<'_> {
    /// The same for a part of the change.
    fn again(&mut self) -> Work<'_> {
        let Self { tenant, at, revision, actor, key_limits, parts, .. } = *self;
        Work { db: &mut *self.db, tenant, at, revision, actor, key_limits, parts }
    }
}

/// A change of rows, made; what the journal has to say of it.
struct Done {
    /// What was done, such as `key.revoke`.
    action: String,
    /// The id of what it was done to.
    subject: String,
    /// The subject before, JSON; empty if it was not there.
    before: String,
    /// The subject after, JSON; empty if it is gone.
    after: String,
    /// What nodes must read anew. Never empty; one for everything that a row's revision is asked of later.
    touched: Vec<Subject>,
    /// Of an import: the places that were known already.
    duplicates: Vec<usize>,
    /// Of an import: the places whose lookup leads to too many.
    ambiguous: Vec<usize>,
}

impl Done {
    fn made(action: &'static str, subject: impl ToString, after: &impl Shown, touched: Subject) -> Self {
        Self::new(action, subject, String::new(), after.shown().to_string(), vec![touched])
    }

    fn changed<T: Shown>(action: impl Into<String>, subject: impl ToString, both: [&T; 2], touched: Subject) -> Self {
        let [before, after] = both.map(|thing| thing.shown().to_string());
        Self::new(action, subject, before, after, vec![touched])
    }

    fn deleted(action: &'static str, subject: impl ToString, before: &impl Shown, touched: Vec<Subject>) -> Self {
        Self::new(action, subject, before.shown().to_string(), String::new(), touched)
    }

    fn new(
        action: impl Into<String>,
        subject: impl ToString,
        before: String,
        after: String,
        touched: Vec<Subject>,
    ) -> Self {
        let (action, subject) = (action.into(), subject.to_string());
        Self { action, subject, before, after, touched, duplicates: Vec::new(), ambiguous: Vec::new() }
    }
}

impl Catalog {
    /// Makes a change: rows, audit entry and revision in one transaction, durable when this returns.
    ///
    /// # Errors
    /// [`ApplyError`] says why nothing was changed.
    pub async fn apply(&self, author: &Author, change: Change) -> Result<Applied, ApplyError> {
        self.apply_if(&Conditions::default(), author, change).await
    }

    /// The same on conditions. They are looked at last, so that a change that could not be made in any case is answered as
    /// it always is (RFC 9110 §13.2.1).
    ///
    /// # Errors
    /// [`ApplyError`] says why nothing was changed.
    pub async fn apply_if(
        &self,
        conditions: &Conditions,
        author: &Author,
        change: Change,
    ) -> Result<Applied, ApplyError> {
        let organization = author.actor.organization;
        let mut transaction = self.0.base.write().await?;
        let db = &mut *transaction;
        if let Some(request) = &author.idempotency {
            idempotency::refuse_repeated(db, organization, request, author.at).await?;
        }
        let [about, besides] = things(&change);
        let before = match about.filter(|_| conditions.expected.is_some()) {
            Some(id) => thing::find(db, organization, id).await?.map(|thing| self.tag_of(&thing)),
            None => None,
        };
        let revision = journal::next_revision(db, &self.0).await?;
        // The first organization is the tenant of its own making.
        let tenant = match &change {
            Change::CreateOrganization { id, name, kind } if *id == organization => {
                organization::insert(db, *id, (name, *kind), author.at, revision).await?
            }
            _ => tenant(db, organization).await?,
        };
        let changes_keys = matches!(change, Change::RotateEncryptionKey { .. } | Change::RetireEncryptionKey { .. });
        let wipes = matches!(
            change,
            Change::RetireEncryptionKey { .. }
                | Change::RetirePepper { .. }
                | Change::EraseProject { .. }
                | Change::EraseMember { .. }
        );
        let changes_peppers = matches!(change, Change::RotatePepper { .. } | Change::RetirePepper { .. });
        let key_limits = self.0.key_limits.get().copied().unwrap_or_default();
        let work = Work { db, tenant, at: author.at, revision, actor: author.actor, key_limits, parts: &self.0 };
        let done = make(work, change).await.map_err(|error| match error {
            // Whoever said in which state it must be is told that it is not.
            ApplyError::Stale if conditions.expected.is_some() => ApplyError::Unmet,
            error => error,
        })?;
        if !conditions.are_met(before) {
            return Err(ApplyError::Unmet);
        }
        if conditions.dry_run {
            let mut preview = Vec::new();
            for id in [about, besides].into_iter().flatten() {
                preview.extend(thing::find(db, organization, id).await?);
            }
            // Dropped without a commit, the transaction is taken back.
            return Ok(Applied { revision, preview, duplicates: done.duplicates, ambiguous: done.ambiguous });
        }

        let is_first = revision == 1;
        let revision = journal::keep_revisions(db, revision, &done.touched).await?;
        journal::keep_entry(db, &self.0, author, tenant.id, (is_first, &done)).await?;
        if let Some(request) = &author.idempotency {
            idempotency::keep(db, organization, request, author.at).await?;
        }
        self.0.commit(transaction).await?;
        self.0.seen.fetch_max(revision, std::sync::atomic::Ordering::SeqCst);
        if let Some(newest) = &self.0.newest {
            newest.note(revision);
        }
        // Nodes read them with the revision in any case.
        if changes_peppers && let Err(error) = self.read_peppers().await {
            tracing::error!(cause = error.cause(), "the peppers could not be read anew");
        }
        // What was wiped is still in the log of changes, and in the pages that it replaces, until they are written back.
        if wipes && let Err(error) = self.0.base.wipe().await.map_err(StoreError::from) {
            tracing::warn!(
                cause = error.cause(),
                "what was retired or erased may be in the files until the next orderly end"
            );
        }
        // What is not known of them by now is read when it is met; what is known too much is kept a little longer.
        if changes_keys && let Err(error) = self.0.read_ring().await {
            tracing::error!(cause = error.cause(), "the encryption keys could not be read anew");
        }
        Ok(Applied { revision, preview: Vec::new(), duplicates: done.duplicates, ambiguous: done.ambiguous })
    }
}

/// Hands a change to the room of its noun.
async fn make(work: Work<'_>, change: Change) -> Result<Done, ApplyError> {
    match change {
        Change::CreateOrganization { id, name, kind } => organization::create(work, id, &name, kind).await,
        Change::UpdateOrganization { id, was, name } => organization::update(work, id, was, &name).await,
        Change::CreateMemberRole { id, name, description, permissions } => {
            let about = member_role::About { name: &name, description: &description, permissions: &permissions };
            member_role::create(work, id, about).await
        }
        Change::UpdateMemberRole { id, was, name, description, permissions } => {
            let about = member_role::About { name: &name, description: &description, permissions: &permissions };
            member_role::update(work, id, was, about).await
        }
        Change::DeleteMemberRole { id } => member_role::delete(work, id).await,
        Change::Invite(invite) => invitation::create(work, &invite).await,
        Change::OfferClaim(invite) => invitation::offer_claim(work, &invite).await,
        Change::WithdrawInvitation { id } => invitation::withdraw(work, id).await,
        Change::AcceptInvitation { lookup, member, joining } => {
            invitation::accept(work, lookup, member, &joining).await
        }
        Change::UpdateMember { id, was, role } => member::update(work, id, was, role).await,
        Change::EraseMember { id, was } => erase::member(work, id, was).await,
        Change::EraseProject { id } => erase::project(work, id).await,
        Change::DeleteMember { id, was } => member::delete(work, id, was).await,
        Change::JudgeDeviceLogin { user_code, account, approve } => {
            device::judge(work, user_code, account, approve).await
        }
        Change::FinishDeviceLogin { lookup, session } => device::finish(work, lookup, &session).await,
        Change::OpenSession(session) => session::open(work, &session).await,
        Change::ProveSession { id, lookup, shown } => session::prove(work, id, lookup, &shown).await,
        Change::MoveSession { id, organization, lookup } => session::move_to(work, id, organization, lookup).await,
        Change::EndSession { id } => session::end(work, id).await,
        Change::EndOwnSession { id, account } => session::end_own(work, id, account).await,
        Change::RenameAccount { account, name } => account::rename(work, account, &name).await,
        Change::EndSessions { account, except } => session::end_all(work, account, except).await,
        Change::SetPassword { account, password, alone, by } => {
            account::set_password(work, account, (&password, alone), &by).await
        }
        Change::OfferTotp { account, sealed } => factor::offer_totp(work, account, &sealed).await,
        Change::ConfirmTotp { account, made_at, step, codes, except } => {
            factor::confirm_totp(work, account, (made_at, step), (&codes, except)).await
        }
        Change::SetRecoveryCodes { account, codes } => factor::set_codes(work, account, &codes).await,
        Change::RemoveFactors { account, except, of } => factor::remove(work, account, except, of).await,
        Change::OfferReset { member, was, lookup, ends_at } => {
            account::offer_reset(work, (member, was), lookup, ends_at).await
        }
        Change::OfferSignIn { account, lookup, ends_at } => link::offer(work, account, lookup, ends_at).await,
        Change::AddPasskey(passkey) => passkey::add(work, &passkey).await,
        Change::RenamePasskey { id, account, name } => passkey::rename(work, (id, account), &name).await,
        Change::RemovePasskey { id, account, except, ways } => {
            passkey::remove(work, (id, account), except, &ways).await
        }
        Change::AddIdentity(identity) => identity::add(work, &identity).await,
        Change::RemoveIdentity { id, account, except, ways } => {
            identity::remove(work, (id, account), except, &ways).await
        }
        Change::RemovePassword { account, except, ways } => {
            account::remove_password(work, account, except, &ways).await
        }
        Change::Note { action, subject, made } => {
            Ok(Done::new(action, subject, String::new(), made.unwrap_or_default(), vec![Subject::Organization]))
        }
        Change::NoteRefusedKey { id, code } => Ok(account::fail_key(id, code)),
        Change::FailLogin { account, failure } => Ok(account::fail(account, failure)),
        Change::CreateApi { id, name, settings, document } => {
            api::create(work, id, &name, &settings, document.as_ref()).await
        }
        Change::UpdateApi { id, was, name, active, settings, document } => {
            let change = api::Update { name: &name, active, settings: &settings, document: document.as_ref() };
            api::update(work, id, was, change).await
        }
        Change::DeleteApi { id } => api::delete(work, id).await,
        Change::SetApiSecret { api, name, sealed } => secret::set(work, api, &name, &sealed).await,
        Change::RemoveApiSecret { api, name } => secret::remove(work, api, &name).await,
        Change::CreatePlan { id, api, name, description, standard, terms } => {
            let about = plan::About { name: &name, description: &description, standard };
            plan::create(work, id, api, about, &terms).await
        }
        Change::UpdatePlan { id, was, name, description, standard, terms } => {
            let about = plan::About { name: &name, description: &description, standard };
            plan::update(work, id, was, about, terms.as_ref().map(|(terms, from)| (terms, *from))).await
        }
        Change::DeletePlan { id } => plan::delete(work, id).await,
        Change::CreateProject { id, about, environment } => project::create(work, id, &about, environment).await,
        Change::UpdateProject { id, was, about } => project::update(work, id, was, &about).await,
        Change::SuspendProject { id, was, suspension } => project::suspend(work, id, was, suspension).await,
        Change::DeleteProject { id } => project::delete(work, id).await,
        Change::CreateActivation { id, project, api, wish } => {
            activation::create(work, id, (project, api), &wish).await
        }
        Change::RequestActivation { id, was, wish } => activation::request(work, id, was, &wish).await,
        Change::UpdateActivation { id, was, state, reason, granted, plan } => {
            let judgement = activation::Judged { state, reason: &reason, granted: granted.as_deref(), plan };
            activation::update(work, id, was, judgement).await
        }
        Change::SetPlan { id, was, plan } => activation::set_plan(work, id, was, plan).await,
        Change::SetCeilings { id, was, ceilings } => activation::set_ceilings(work, id, was, &ceilings).await,
        Change::GrantCredits { id, holder, kind, amount, note, starts_at, ends_at } => {
            let granted = credit::Granted { kind, amount, note: &note, plan: None, starts_at, ends_at };
            credit::grant(work, id, holder, granted).await
        }
        Change::RevokeCredits { id, was, reason } => credit::revoke(work, id, was, &reason).await,
        Change::RefillCredits { due } => credit::refill(work, &due).await,
        Change::NoteCredits { notice } => notice::note_credits(work, &notice).await,
        Change::NoteQuota { id, notice } => notice::note_quota(work, id, &notice).await,
        Change::DeleteActivation { id } => activation::delete(work, id).await,
        Change::CreateKey { project, key, policy } => key::create(work, project, &key, &policy).await,
        Change::UpdateKey { id, was, name, policy, expires_at, tags } => {
            key::update(work, id, was, key::Update { name: &name, policy: &policy, expires_at, tags: &tags }).await
        }
        Change::KeyState { id, was, state, action, reason } => {
            key::change_state(work, id, was, state, (action, &reason)).await
        }
        Change::CompromiseKey { id, was, replacement, reason } => {
            compromise::compromise(work, id, was, replacement.as_ref(), &reason).await
        }
        Change::KeyExposed { id, version, action } => key::expose(work, id, version, action).await,
        Change::RotateKey { id, was, fresh, former_ends_at, expires_at } => {
            version::rotate(work, id, was, &fresh, former_ends_at, expires_at).await
        }
        Change::EndKeyVersion { id, was, version, ends_at, action } => {
            version::end(work, id, was, version, ends_at, action).await
        }
        Change::NoteKey { id, notice } => notice::note(work, id, &notice).await,
        Change::HandOver { id, lookup, sealed, ends_at } => hand_over::offer(work, id, lookup, &sealed, ends_at).await,
        Change::RevealKey { id, version } => text::reveal(work, id, version).await,
        Change::OpenHandOver { lookup } => hand_over::open(work, lookup).await,
        Change::DeleteKey { id } => key::delete(work, id).await,
        Change::UndeleteKey { id } => key::undelete(work, id).await,
        Change::RehashKey { id, version, digest, pepper_version } => {
            slow::rehash(work, id, version, &digest, pepper_version).await
        }
        Change::ImportKeys { project, keys, policy } => import::import(work, project, &keys, &policy).await,
        Change::RotateEncryptionKey { key } => encryption::rotate(work, &key).await,
        Change::Rewrap { limit, entropy } => encryption::rewrap(work, limit, &entropy).await,
        Change::RetireEncryptionKey { version } => encryption::retire(work, version).await,
        Change::RotatePepper { version, sealed } => pepper::rotate(work, version, &sealed).await,
        Change::RetirePepper { version, forget } => pepper::retire(work, version, forget).await,
        Change::RehashKeys { keys, pepper_version } => pepper::rehash(work, &keys, pepper_version).await,
        Change::NoteRootChange => encryption::root_changed(work).await,
        Change::NoteSeal => encryption::sealed(work).await,
        Change::CreateRole { id, name, description, permissions } => {
            let about = role::About { name: &name, description: &description, permissions: &permissions };
            role::create(work, id, about).await
        }
        Change::UpdateRole { id, was, name, description, permissions } => {
            let about = role::About { name: &name, description: &description, permissions: &permissions };
            role::update(work, id, was, about).await
        }
        Change::DeleteRole { id, from_keys } => role::delete(work, id, from_keys).await,
        Change::CreatePattern { id, name, description, filter } => {
            let about = pattern::About { name: &name, description: &description, filter: &filter };
            pattern::create(work, id, about).await
        }
        Change::UpdatePattern { id, was, name, description, filter } => {
            let about = pattern::About { name: &name, description: &description, filter: &filter };
            pattern::update(work, id, was, about).await
        }
        Change::DeletePattern { id, unassign } => pattern::delete(work, id, unassign).await,
        Change::CreateWebhook { id, url, description, events, secret } => {
            let to = webhook::Texts { url: &url, description: &description, events: &events };
            webhook::create(work, id, to, &secret).await
        }
        Change::UpdateWebhook { id, was, url, description, events, state } => {
            let to = webhook::Texts { url: &url, description: &description, events: &events };
            webhook::update(work, id, was, to, &state).await
        }
        Change::RotateWebhookSecret { id, secret, old_until } => webhook::rotate(work, id, &secret, old_until).await,
        Change::DeleteWebhook { id } => webhook::delete(work, id).await,
    }
}

async fn tenant(db: &mut Connection, id: OrganizationId) -> Result<Tenant, ApplyError> {
    let row = sql("SELECT number FROM organizations WHERE id = ?")
        .bind(id.to_bytes())
        .fetch_optional(db)
        .await?
        .ok_or(ApplyError::NotFound("organization"))?;
    Ok(Tenant { id, number: Columns::of(&row).number()? })
}

/// Refuses a change of something that was changed since it was read.
fn refuse_stale(is: u64, was: u64) -> Result<(), ApplyError> {
    if is == was { Ok(()) } else { Err(ApplyError::Stale) }
}

/// Says what is there already, if that is why a row could not be added.
fn or_exists(what: &'static str) -> impl Fn(sqlx::Error) -> ApplyError {
    move |error| match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => ApplyError::Exists(what),
        _ => error.into(),
    }
}

/// The number of a row that was just added.
fn number_of(row: &Row) -> Result<u32, StoreError> {
    Columns::of(row).number()
}

/// Keys whose numbers are no further apart are told to nodes together: reading a few in between is cheaper than a revision
/// of its own.
const MAX_GAP: u32 = 256;

/// Keys by their numbers, those that are near each other together.
fn ranges(mut numbers: Vec<u32>) -> Vec<Subject> {
    numbers.sort_unstable();
    let near = numbers.chunk_by(|one, next| next - one <= MAX_GAP);
    near.filter_map(|run| Some(Subject::Keys(*run.first()?, *run.last()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_near_each_other_are_told_together() {
        assert_eq!(ranges(Vec::new()), []);
        assert_eq!(ranges(vec![5]), [Subject::Keys(5, 5)]);
        assert_eq!(ranges(vec![3, 2, 1_000, 1, 200]), [Subject::Keys(1, 200), Subject::Keys(1_000, 1_000)]);
        assert_eq!(ranges(vec![258, 1]), [Subject::Keys(1, 1), Subject::Keys(258, 258)]);
        assert_eq!(ranges(vec![257, 1]), [Subject::Keys(1, 257)]);
    }
}
