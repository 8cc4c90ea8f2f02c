//! All families of the process. Whoever has a figure declares it here, in one line, and is asked for it when somebody
//! scrapes.

use parking_lot::RwLock;

use super::page::{Format, Kind, Page, Samples, Value};

type Read = Box<dyn Fn(&mut Samples<'_>) + Send + Sync>;

/// A family and how its values are read.
struct Family {
    kind: Kind,
    name: &'static str,
    help: &'static str,
    read: Read,
}

/// The families, in the order in which they were declared.
#[derive(Default)]
pub struct Registry {
    families: RwLock<Vec<Family>>,
}

impl Registry {
    /// Declares a family with labels.
    pub fn family(
        &self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        read: impl Fn(&mut Samples<'_>) + Send + Sync + 'static,
    ) {
        debug_assert!(kind != Kind::Counter || name.ends_with("_total"), "{name}: a counter's name ends with _total");
        let mut families = self.families.write();
        debug_assert!(families.iter().all(|family| family.name != name), "{name} is declared twice");
        families.push(Family { kind, name, help, read: Box::new(read) });
    }

    /// Declares a value that goes up and down.
    pub fn gauge<V: Into<Value>>(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> V + Send + Sync + 'static,
    ) {
        self.family(Kind::Gauge, name, help, move |samples| samples.put(&[], read()));
    }

    /// Declares a count that only grows.
    pub fn counter<V: Into<Value>>(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> V + Send + Sync + 'static,
    ) {
        self.family(Kind::Counter, name, help, move |samples| samples.put(&[], read()));
    }

    /// Writes all of them.
    pub fn write(&self, format: Format) -> String {
        let mut page = Page::new(format);
        for family in self.families.read().iter() {
            (family.read)(&mut page.family(family.kind, family.name, family.help));
        }
        page.finish()
    }
}
