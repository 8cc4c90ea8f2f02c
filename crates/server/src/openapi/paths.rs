//! The `paths` of a document: which operations they hold, checked while they are read so that an error has its place.

use std::collections::HashMap;
use std::fmt;

use keystile_core::operation::PathTemplate;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::rights::Rights;
use super::{Deserialize, DocumentedOperation, MAX_OPERATIONS, Method, SkipReason, SkippedOperation, TemplateError};

/// The operations of a document.
#[derive(Default)]
pub(super) struct Paths {
    pub(super) operations: Vec<DocumentedOperation>,
    pub(super) skipped: Vec<SkippedOperation>,
    /// Paths that can only be added when the others are known: those with a reference or a query.
    later: Vec<(String, PathItem)>,
    /// The operation that each method on each path belongs to.
    known: HashMap<(Method, PathTemplate), usize>,
}

/// What OpenAPI 3.1 allows to be written once and referred to.
#[derive(Default, Deserialize)]
pub(super) struct Components {
    #[serde(rename = "pathItems", default)]
    path_items: HashMap<String, PathItem>,
}

/// The methods of a path. `parameters`, `summary` and the rest of it are skipped.
#[derive(Default, Deserialize)]
struct PathItem {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    get: Option<Rights>,
    head: Option<Rights>,
    post: Option<Rights>,
    put: Option<Rights>,
    patch: Option<Rights>,
    delete: Option<Rights>,
    options: Option<Rights>,
    trace: Option<IgnoredAny>,
}

impl PathItem {
    fn of(&self, method: Method) -> Option<&Rights> {
        match method {
            Method::Get => self.get.as_ref(),
            Method::Head => self.head.as_ref(),
            Method::Post => self.post.as_ref(),
            Method::Put => self.put.as_ref(),
            Method::Patch => self.patch.as_ref(),
            Method::Delete => self.delete.as_ref(),
            Method::Options => self.options.as_ref(),
        }
    }
}

impl Paths {
    /// Adds the paths that had to wait.
    ///
    /// A query in a path is no OpenAPI, but documents do it. It tells no calls apart here, so such a path is the
    /// operation only where the same path without a query is not documented.
    pub(super) fn complete(mut self, components: &Components) -> Result<Self, String> {
        let mut later = std::mem::take(&mut self.later);
        later.sort_by_key(|(path, _)| has_query(path));
        for (path, item) in later {
            self.add(&path, &item)?;
            if let Some(reference) = &item.reference {
                self.add(&path, components.path_item(&path, reference)?)?;
            }
        }
        Ok(self)
    }

    fn add(&mut self, path: &str, item: &PathItem) -> Result<(), String> {
        if item.trace.is_some() {
            self.skip("TRACE", path, SkipReason::MethodRefused)?;
        }
        let template = &path[..query_start(path)];
        let parsed = template_of(path)?;
        for method in Method::ALL {
            let Some(rights) = item.of(method) else { continue };
            let Some(parsed) = &parsed else {
                self.skip(method.as_str(), path, SkipReason::PathRefused)?;
                continue;
            };
            let next = self.operations.len();
            let known = *self.known.entry((method, parsed.clone())).or_insert(next);
            if known == next {
                self.make_room()?;
                self.operations.push(DocumentedOperation {
                    method,
                    template: template.to_owned(),
                    rights: rights.bounded(),
                });
            } else if has_query(path) {
                self.skip(method.as_str(), path, SkipReason::SamePath)?;
            } else {
                let first = &self.operations[known].template;
                return Err(format!(
                    "`{method} {first}` and `{method} {path}` are reached by the same calls; keep one of them"
                ));
            }
        }
        Ok(())
    }

    fn skip(&mut self, method: &str, path: &str, reason: SkipReason) -> Result<(), String> {
        self.make_room()?;
        self.skipped.push(SkippedOperation { method: method.to_owned(), template: path.to_owned(), reason });
        Ok(())
    }

    fn make_room(&self) -> Result<(), String> {
        if self.operations.len() + self.skipped.len() == MAX_OPERATIONS {
            return Err(format!("the document holds more than {MAX_OPERATIONS} operations; split the API"));
        }
        Ok(())
    }
}

impl Components {
    fn path_item(&self, path: &str, reference: &str) -> Result<&PathItem, String> {
        reference
            .strip_prefix("#/components/pathItems/")
            .and_then(|name| self.path_items.get(name))
            .filter(|item| item.reference.is_none())
            .ok_or_else(|| {
                format!(
                    "the path `{path}` refers to `{reference}`, which is not read; \
                     write its operations in its place"
                )
            })
    }
}

/// The template of a path, or nothing when no call can reach it.
fn template_of(path: &str) -> Result<Option<PathTemplate>, String> {
    match PathTemplate::parse(&path[..query_start(path)]) {
        Ok(template) => Ok(Some(template)),
        Err(TemplateError::Unreachable(_) | TemplateError::EmptySegment) => Ok(None),
        Err(
            problem @ (TemplateError::NoSlash
            | TemplateError::TooLong
            | TemplateError::Braces
            | TemplateError::NoName
            | TemplateError::Noncharacter
            | TemplateError::Query),
        ) => Err(format!("the path `{path}` can't be used: {problem}")),
    }
}

fn has_query(path: &str) -> bool {
    query_start(path) < path.len()
}

/// Where the path ends and what is not part of it begins.
fn query_start(path: &str) -> usize {
    let mut in_parameter = false;
    let end = path.find(|next| {
        in_parameter = match next {
            '{' => true,
            '}' => false,
            _ => in_parameter,
        };
        !in_parameter && matches!(next, '?' | '#')
    });
    end.unwrap_or(path.len())
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Paths;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of paths")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Paths, A::Error> {
                let mut paths = Paths::default();
                while let Some(path) = map.next_key::<String>()? {
                    if path.starts_with("x-") {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    // Here too, because the place of an error is where reading stands: still at the path.
                    template_of(&path).map_err(A::Error::custom)?;
                    let item = map.next_value::<PathItem>()?;
                    if item.reference.is_some() || has_query(&path) {
                        paths.later.push((path, item));
                    } else {
                        paths.add(&path, &item).map_err(A::Error::custom)?;
                    }
                }
                Ok(paths)
            }
        }

        deserializer.deserialize_map(Map)
    }
}
