//! Brings objects into the form in which Kubernetes serves them: what its `omitempty` drops is gone, structs
//! that it always writes are there, times have whole seconds, quantities are canonical.
//!
//! Owns the trait, its implementations for scalars and the table macro; the tables of structs stand beside
//! the kinds that have them, and say of each field what the published Go type says: `drop` (a plain value with
//! omitempty), `keep` (a pointer), `fill` (a struct that is always written), `text` (a text that is always
//! written), `deep` (a required field).
//!
//! Invariant: an object in canonical form is equal to what decoding its own JSON gives, and making it canonical
//! again changes nothing.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::resources::is_plainly_canonical;
use super::versions::Part;
use crate::api::meta;
use crate::api::quantity::Amount;

/// A value that has a canonical form.
pub(crate) trait Canonical {
    /// Brings the value into its canonical form.
    fn make_canonical(&mut self) {}

    /// Whether Kubernetes leaves such a value out of an object where the field allows it.
    fn is_left_out(&self) -> bool {
        false
    }
}

impl Canonical for String {
    fn is_left_out(&self) -> bool {
        self.is_empty()
    }
}

impl Canonical for bool {
    fn is_left_out(&self) -> bool {
        !*self
    }
}

impl Canonical for i32 {
    fn is_left_out(&self) -> bool {
        *self == 0
    }
}

impl Canonical for i64 {
    fn is_left_out(&self) -> bool {
        *self == 0
    }
}

impl Canonical for ByteString {
    fn is_left_out(&self) -> bool {
        self.0.is_empty()
    }
}

impl Canonical for IntOrString {}

impl Canonical for Time {
    fn make_canonical(&mut self) {
        self.0 = meta::whole_seconds(self.0);
    }
}

impl Canonical for MicroTime {
    fn make_canonical(&mut self) {
        self.0 = meta::whole_microseconds(self.0);
    }
}

impl Canonical for Quantity {
    fn make_canonical(&mut self) {
        if is_plainly_canonical(&self.0) {
            return;
        }
        if self.0.is_empty() {
            self.0.push('0');
        } else if let Ok(text) = Amount::served(&self.0)
            && text != self.0
        {
            self.0 = text;
        }
    }
}

impl Canonical for ObjectMeta {
    fn make_canonical(&mut self) {
        meta::canonicalise_meta(self);
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn make_canonical(&mut self) {
        self.iter_mut().for_each(T::make_canonical);
    }

    fn is_left_out(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Canonical> Canonical for BTreeMap<String, T> {
    fn make_canonical(&mut self) {
        self.values_mut().for_each(T::make_canonical);
    }

    fn is_left_out(&self) -> bool {
        self.is_empty()
    }
}

/// A field with omitempty: gone when there is nothing in it.
pub(crate) fn drop_if_empty<T: Canonical>(field: &mut Option<T>) {
    if let Some(value) = field {
        value.make_canonical();
        if value.is_left_out() {
            *field = None;
        }
    }
}

/// A pointer: kept as it is, its target in canonical form.
pub(crate) fn keep<T: Canonical>(field: &mut Option<T>) {
    if let Some(value) = field {
        value.make_canonical();
    }
}

/// A struct that is written even where nothing is in it.
pub(crate) fn fill<T: Canonical + Default>(field: &mut Option<T>) {
    field.get_or_insert_default().make_canonical();
}

/// A text that is written even where nothing is in it.
pub(crate) fn text(field: &mut impl Part<String>) {
    field.part_mut();
}

/// Implements [`Canonical`] for structs from a table of their fields.
macro_rules! canonical {
    ($($kind:ident {
        $(drop: $($drop:ident),+;)?
        $(keep: $($keep:ident),+;)?
        $(fill: $($fill:ident),+;)?
        $(text: $($text:ident),+;)?
        $(deep: $($deep:ident),+;)?
    })+) => {
        $(impl $crate::api::kinds::canonical::Canonical for $kind {
            fn make_canonical(&mut self) {
                $($($crate::api::kinds::canonical::drop_if_empty(&mut self.$drop);)+)?
                $($($crate::api::kinds::canonical::keep(&mut self.$keep);)+)?
                $($($crate::api::kinds::canonical::fill(&mut self.$fill);)+)?
                $($($crate::api::kinds::canonical::text(&mut self.$text);)+)?
                $($(self.$deep.make_canonical();)+)?
            }
        })+
    };
}

/// Implements [`Canonical`] for structs that always are in canonical form.
macro_rules! canonical_as_is {
    ($($kind:ident),+ $(,)?) => {
        $(impl $crate::api::kinds::canonical::Canonical for $kind {})+
    };
}

pub(crate) use {canonical, canonical_as_is};
