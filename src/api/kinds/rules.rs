//! Rules that many kinds have in common, each written once: how objects are named, who writes the status, what
//! moves the generation.
//!
//! Macros, since they stand among the functions of a kind's [`Kind`](crate::api::Kind). A kind with a rule of its
//! own writes the function instead.

/// The name is a subdomain of DNS, as that of most objects.
macro_rules! named_as_subdomain {
    () => {
        fn validate_name(name: &str, prefix: bool) -> Vec<String> {
            $crate::api::names::check_name($crate::api::names::is_dns1123_subdomain, name, prefix)
        }
    };
}

/// The status is written by its subresource alone, which writes nothing else. With `but prepare_create` the kind
/// has more to do at creation.
macro_rules! status_apart {
    () => {
        fn prepare_create(&mut self) {
            self.status = Some(Default::default());
        }

        status_apart!(but prepare_create);
    };
    (but prepare_create) => {
        fn prepare_update(&mut self, old: &Self) {
            self.status.clone_from(&old.status);
        }

        fn prepare_status(&mut self, old: &Self) {
            self.spec.clone_from(&old.spec);
        }
    };
}

/// A change of the spec, and nothing else, moves the generation.
macro_rules! generation_of_spec {
    () => {
        fn moves_generation(&self, old: &Self) -> bool {
            self.spec != old.spec
        }
    };
}

/// The objects have no generation.
macro_rules! no_generation {
    () => {
        fn has_generation() -> bool {
            false
        }

        fn moves_generation(&self, _old: &Self) -> bool {
            false
        }
    };
}

/// The canonical form is that of the kind's table.
macro_rules! canonical_by_table {
    () => {
        fn canonicalise(&mut self) {
            $crate::api::kinds::canonical::Canonical::make_canonical(self);
        }
    };
}

pub(crate) use {canonical_by_table, generation_of_spec, named_as_subdomain, no_generation, status_apart};
