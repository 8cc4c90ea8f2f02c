//! Handing the text of a key over to whoever holds a link, once (PRODUCT.md K40).
//!
//! The text is encrypted under a key of the installation and the link's token together, and only a hash of the token is kept: neither
//! who has the data and the root key, nor who has the link and the data, can read it without the other. It is wiped when it
//! was opened, and when its time is over.

use keystile_core::id::{KeyId, OrganizationId};
use keystile_core::time::Timestamp;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::cipher::{Salt, SecretKey};
use crate::db::{Columns, damaged, sql};
use crate::root::hex;
use crate::secret::Sealed;
use crate::{Catalog, StoreError};

/// What opens a hand-over. It is wiped when dropped.
pub type Token = Zeroizing<[u8; 32]>;

/// A text that waits for whoever holds the link.
pub struct HandOver {
    /// Whose the key is.
    pub organization: OrganizationId,
    /// The key.
    pub key: KeyId,
    /// Until when it can be opened.
    pub ends_at: Timestamp,
    /// The text.
    pub text: Zeroizing<Vec<u8>>,
}

/// What a hand-over is found by.
pub fn lookup_of(token: &Token) -> [u8; 32] {
    Sha256::new_with_prefix("hand-over|").chain_update(&token[..]).finalize().into()
}

impl Catalog {
    /// Seals a text for whoever holds this token. The salt is random, and never used twice.
    pub fn seal_hand_over(&self, token: &Token, text: &str, salt: &Salt) -> Sealed {
        Sealed(self.opener(token).wrap(text.as_bytes(), &self.place_of_hand_over(token), salt))
    }

    /// What waits for whoever holds this token at this moment; `None` if it was opened before, has ended, or never was.
    pub async fn waiting_text(&self, token: &Token, now: Timestamp) -> Result<Option<HandOver>, StoreError> {
        let row = sql("SELECT o.id, k.id, h.ends_at, h.sealed FROM hand_overs h JOIN keys k ON k.number = h.key \
             JOIN organizations o ON o.number = k.organization \
             WHERE h.lookup = ? AND h.opened_at IS NULL AND h.ends_at > ? AND k.deleted_at IS NULL")
        .bind(&lookup_of(token)[..])
        .bind(now.as_micros())
        .fetch_optional(&mut self.0.base.read().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let mut row = Columns::of(&row);
        let organization = row.id(OrganizationId::from_slice)?;
        let key = row.id(KeyId::from_slice)?;
        let ends_at = row.moment()?;
        let text = self.opener(token).unwrap(row.blob()?, &self.place_of_hand_over(token)).ok_or_else(|| {
            damaged(format_args!("a text of {key} that waits to be handed over: it was altered, or belongs elsewhere"))
        })?;
        Ok(Some(HandOver { organization, key, ends_at, text }))
    }

    /// Wipes the texts that nobody came for in time; says how many.
    pub async fn wipe_hand_overs(&self, now: Timestamp) -> Result<u64, StoreError> {
        let any = sql("SELECT ends_at FROM hand_overs WHERE ends_at <= ? AND opened_at IS NULL LIMIT 1")
            .bind(now.as_micros())
            .fetch_optional(&mut self.0.base.read().await?)
            .await?;
        if any.is_none() {
            return Ok(0);
        }
        let mut transaction = self.0.base.write().await?;
        let wiped = sql("DELETE FROM hand_overs WHERE ends_at <= ? AND opened_at IS NULL")
            .bind(now.as_micros())
            .execute(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(wiped)
    }

    /// It needs the token besides what the installation has, so no change of its encryption keys concerns it.
    fn opener(&self, token: &Token) -> SecretKey {
        self.0.ring().seed().with_token("hand-over", &token[..])
    }

    fn place_of_hand_over(&self, token: &Token) -> String {
        format!("hand_over|{}|{}", hex(&self.installation()), hex(&lookup_of(token)))
    }
}
