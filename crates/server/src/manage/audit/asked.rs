//! By what entries are chosen. Queries can't be put together of several types, so the fields that they share are written here.

/// A query with these fields and those by which entries are chosen, which [`AuditQuery`](keystile_store::records::AuditQuery)
/// has too.
macro_rules! asked {
    ($(#[$about:meta])* struct $name:ident { $($(#[$doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub(super) struct $name {
            $($(#[$doc])* $field: $kind,)*
            /// Only those of this type, such as `key.revoke`, or `key.*` for all of a kind.
            #[param(value_type = Option<String>)]
            r#type: Option<keystile_core::webhook::EventPattern>,
            /// Only those about the thing of this id.
            subject_id: Option<String>,
            /// Only what this actor did: a management key's id, a person's account `acc_…`, or `system:…`.
            actor: Option<String>,
            /// Only what was done from this address.
            #[param(value_type = Option<String>)]
            address: Option<std::net::IpAddr>,
            /// Only what was done by this request.
            #[param(value_type = Option<String>)]
            request_id: Option<keystile_core::id::RequestId>,
            /// Only what was done from this moment on.
            #[param(value_type = Option<String>)]
            from: Option<keystile_core::time::Timestamp>,
            /// Only what was done before this moment.
            #[param(value_type = Option<String>)]
            until: Option<keystile_core::time::Timestamp>,
        }

        impl $name {
            fn query(&self) -> Result<keystile_store::records::AuditQuery, crate::problem::Problem> {
                // No id has a NUL, and PostgreSQL takes none.
                if [&self.subject_id, &self.actor].into_iter().flatten().any(|text| text.contains('\0')) {
                    return Err(crate::manage::problem::invalid("subject_id and actor are ids; none has a NUL."));
                }
                crate::manage::audit::refuse_names(self.r#type.as_ref(), self.subject_id.as_deref(), self.actor.as_deref())?;
                Ok(keystile_store::records::AuditQuery {
                    kind: self.r#type.clone(),
                    subject: self.subject_id.clone(),
                    actor: self.actor.clone(),
                    address: self.address,
                    request: self.request_id,
                    from: self.from,
                    until: self.until,
                })
            }
        }
    };
}
