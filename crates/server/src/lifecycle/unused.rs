//! Keys that nobody uses: told of, disabled and deleted, as far as the owner of an API that they call wants that.

use keystile_core::api::UnusedKeys;
use keystile_core::key::{KeyNotice, KeyState, Standing};
use keystile_core::time::Timestamp;
use keystile_store::records::Api;
use keystile_store::{Change, Due};

use super::{BATCH, DAY_SECS, Lifecycle, Unfinished};

/// Some of the keys of an API that are not used.
struct Unused {
    /// Each with the moment since when.
    keys: Vec<(Due, Timestamp)>,
    /// After which number the next ones come; `None` if these were the last.
    next: Option<u32>,
}

impl Lifecycle {
    pub(super) async fn look_for_unused(&self, api: &Api, now: Timestamp) -> Result<(), Unfinished> {
        let Some(days) = api.settings.unused_key_days else { return Ok(()) };
        let rule = api.settings.unused_keys;
        let ago = |days: i64| now.plus_secs(-days * DAY_SECS);
        let mut place = Some(0);
        while let Some(above) = place {
            let unused = self.unused(api, ago(days.into()), Standing::Active, above).await?;
            for (due, since) in unused.keys {
                let notice = KeyNotice::Unused { since, days };
                // Most were told of rounds ago: a question is cheaper than a change that comes to nothing.
                if self.catalog.was_told(due.number, &notice).await? {
                    continue;
                }
                let told = self.change(due.organization, Change::NoteKey { id: due.key, notice }, now).await?;
                // Whoever enables it again after that wants it: it is not disabled twice for one silence.
                if told && rule >= UnusedKeys::Disable {
                    self.disable(&due, now).await?;
                }
            }
            place = unused.next;
        }
        if rule < UnusedKeys::Delete {
            return Ok(());
        }
        let mut place = Some(0);
        while let Some(above) = place {
            let unused = self.unused(api, ago(2 * i64::from(days)), Standing::Disabled, above).await?;
            for (due, since) in unused.keys {
                // One that somebody else disabled is not this rule's to delete; and whoever brought one back, or wrote on it, has
                // as much time again.
                let is_ours = self.catalog.was_told(due.number, &KeyNotice::Unused { since, days }).await?;
                let key = self.catalog.key(due.organization, due.key).await?;
                if is_ours && key.is_some_and(|key| key.updated_at <= ago(days.into())) {
                    self.change(due.organization, Change::DeleteKey { id: due.key }, now).await?;
                }
            }
            place = unused.next;
        }
        Ok(())
    }

    async fn disable(&self, due: &Due, now: Timestamp) -> Result<(), Unfinished> {
        let key = self.catalog.key(due.organization, due.key).await?;
        if let Some(key) = key.filter(|key| key.state == KeyState::Active) {
            let state = KeyState::Disabled { since: now };
            let change =
                Change::KeyState { id: due.key, was: key.revision, state, action: "disable", reason: String::new() };
            self.change(due.organization, change, now).await?;
        }
        Ok(())
    }

    /// Keys of an API of this standing that were neither made nor used after a moment, with a greater number.
    async fn unused(&self, api: &Api, bound: Timestamp, standing: Standing, above: u32) -> Result<Unused, Unfinished> {
        let keys = self.catalog.keys_of_api(api.number, bound, standing, above, BATCH).await?;
        let numbers: Vec<u32> = keys.iter().map(|due| due.number).collect();
        self.ledger.roll_up().await?;
        let used = self.ledger.last_used(&numbers).await?;
        let since = |due: &Due| used.get(&due.number).map_or(due.moment, |used| (*used).max(due.moment));
        let unused = keys.into_iter().map(|due| (due, since(&due))).filter(|(_, since)| *since <= bound);
        Ok(Unused { keys: unused.collect(), next: numbers.last().copied() })
    }
}
