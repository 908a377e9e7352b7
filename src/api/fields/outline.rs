//! The outline of an object, as a number: what decides which fields it speaks of, and nothing else.
//!
//! Thousands of objects that are made alike speak of the same fields, so their set is found by this number instead of
//! being made anew. It is taken in one pass over the typed object, without writing JSON: names, forms, the keys of
//! list items and the values of sets count, other values do not, and what is owned as a whole is passed over.
//!
//! Invariant: objects with the same outline have the same set of fields. The number is 128 bits wide and begins with
//! secret keys, so that nobody can make two outlines meet.

use std::fmt::{self, Display, Write};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use serde::ser::{self, Serialize};

use crate::api::shape::{ListKind, Map, Node};

/// The secret that outlines begin with. It decides where a set is found and never what is found there.
#[derive(Clone, Copy, Debug)]
pub struct OutlineKeys([u64; 2]);

impl OutlineKeys {
    /// New keys.
    pub fn new() -> OutlineKeys {
        let one = || RandomState::new().build_hasher().finish();
        OutlineKeys([one(), one()])
    }
}

impl Default for OutlineKeys {
    fn default() -> OutlineKeys {
        OutlineKeys::new()
    }
}

/// Takes the outline of an object.
pub struct Outline {
    low: u64,
    high: u64,
}

const SPREAD_LOW: u64 = 0x9e37_79b9_7f4a_7c15;
const SPREAD_HIGH: u64 = 0xc2b2_ae3d_27d4_eb4f;

fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// What is met on the way, besides names and values.
#[derive(Clone, Copy)]
enum Sign {
    Scalar = 1,
    Null,
    MapBegins,
    MapEnds,
    ListBegins,
    ListEnds,
    Zero,
}

impl Outline {
    /// The outline of an object of a kind with this root.
    pub fn of<T: Serialize + ?Sized>(keys: OutlineKeys, seed: u64, node: Node<'_>, object: &T) -> u128 {
        let mut outline = Outline { low: keys.0[0], high: keys.0[1] };
        outline.word(seed);
        let place = Place { node: Some(node), always: true, ..Place::nowhere() };
        // The walk itself never fails; an object that cannot be serialised ends it early, as it would its writing.
        if object.serialize(Walk { outline: &mut outline, place }).is_err() {
            outline.word(u64::MAX);
        }
        (u128::from(outline.high) << 64) | u128::from(outline.low)
    }

    fn word(&mut self, word: u64) {
        self.low = fold(self.low ^ word, SPREAD_LOW ^ self.high);
        self.high = fold(self.high ^ word.rotate_left(32), SPREAD_HIGH ^ word).wrapping_add(self.low);
    }

    fn sign(&mut self, sign: Sign) {
        self.word(sign as u64);
    }

    fn text(&mut self, text: &str) {
        let (chunks, rest) = text.as_bytes().as_chunks::<8>();
        for chunk in chunks {
            self.word(u64::from_le_bytes(*chunk));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
        self.word((text.len() as u64) << 8 | 0xff);
    }
}

/// Where the walk is.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// `None` below what is owned as a whole, where nothing counts.
    node: Option<Node<'a>>,
    /// Values count: they tell items of a list apart.
    values: bool,
    /// What is here is written of every object, so that a zero differs from another value.
    always: bool,
    /// The fields whose values tell what is here from other items of its list.
    keys: &'a [Arc<str>],
}

impl<'a> Place<'a> {
    fn nowhere() -> Place<'a> {
        Place { node: None, values: false, always: false, keys: &[] }
    }

    fn is_whole(&self) -> bool {
        self.node.is_none() && !self.values
    }

    fn field(&self, map: &'a Map, name: &str) -> Place<'a> {
        let declared = map.declared(name);
        Place {
            node: self.node.and_then(|node| map.type_of(name).map(|kind| node.at(kind))),
            values: self.values || self.keys.iter().any(|key| **key == *name),
            always: self.always && declared.is_some_and(|field| field.always),
            keys: &[],
        }
    }
}

struct Walk<'w, 'a> {
    outline: &'w mut Outline,
    place: Place<'a>,
}

/// The walk does not fail of itself.
#[derive(Debug)]
pub(super) struct Never;

impl Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object cannot be serialised")
    }
}

impl std::error::Error for Never {}

impl ser::Error for Never {
    fn custom<T: Display>(_: T) -> Never {
        Never
    }
}

impl Walk<'_, '_> {
    fn scalar(self, is_zero: bool, value: impl FnOnce(&mut Outline)) -> Result<(), Never> {
        if self.place.is_whole() {
            return Ok(());
        }
        self.outline.sign(Sign::Scalar);
        if self.place.values {
            value(self.outline);
        }
        if self.place.always && is_zero {
            self.outline.sign(Sign::Zero);
        }
        Ok(())
    }

    fn null(self) -> Result<(), Never> {
        if !self.place.is_whole() {
            self.outline.sign(Sign::Null);
        }
        Ok(())
    }
}

impl<'w, 'a> Walk<'w, 'a> {
    fn list(self) -> Items<'w, 'a> {
        let list = self.place.node.and_then(|node| Some((node, node.get().list.as_ref()?)));
        let at =
            |node: Node<'a>, id, values, keys| Place { node: Some(node.at(id)), values, always: false, keys };
        let item = match list.map(|(node, list)| (node, list, &list.kind)) {
            Some((node, list, ListKind::Set)) => Some(at(node, list.item, true, &[][..])),
            Some((node, list, ListKind::Map(keys))) => Some(at(node, list.item, false, &keys[..])),
            _ if self.place.values => Some(Place { values: true, ..Place::nowhere() }),
            _ => None,
        };
        let ends = !self.place.is_whole();
        if ends {
            self.outline.sign(Sign::ListBegins);
        }
        Items { outline: self.outline, item, ends }
    }

    fn map(self) -> Fields<'w, 'a> {
        let map = self.place.node.and_then(|node| node.get().map.as_ref()).filter(|map| !map.atomic);
        let ends = !self.place.is_whole();
        if ends {
            self.outline.sign(Sign::MapBegins);
        }
        // Below what is owned as a whole nothing counts, unless it is a key.
        let place =
            if map.is_some() { self.place } else { Place { values: self.place.values, ..Place::nowhere() } };
        Fields { outline: self.outline, place, map, next: Place::nowhere(), name: String::new(), ends }
    }
}

/// The items of a list; none count where it is owned as a whole.
struct Items<'w, 'a> {
    outline: &'w mut Outline,
    item: Option<Place<'a>>,
    ends: bool,
}

impl Items<'_, '_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        let Some(place) = self.item else { return Ok(()) };
        value.serialize(Walk { outline: self.outline, place })
    }

    fn finish(self) -> Result<(), Never> {
        if self.ends {
            self.outline.sign(Sign::ListEnds);
        }
        Ok(())
    }
}

/// The fields of a structure or map.
struct Fields<'w, 'a> {
    outline: &'w mut Outline,
    place: Place<'a>,
    map: Option<&'a Map>,
    next: Place<'a>,
    /// Room for the names of a map.
    name: String,
    ends: bool,
}

impl Fields<'_, '_> {
    fn begin(&mut self, name: &str) {
        if self.place.is_whole() {
            return;
        }
        self.outline.text(name);
        self.next = match self.map {
            Some(map) => self.place.field(map, name),
            None => self.place,
        };
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        if self.place.is_whole() {
            return Ok(());
        }
        value.serialize(Walk { outline: self.outline, place: self.next })
    }

    fn finish(self) -> Result<(), Never> {
        if self.ends {
            self.outline.sign(Sign::MapEnds);
        }
        Ok(())
    }
}

/// A map's name as text.
struct Name<'n, T: ?Sized>(&'n T);

impl<T: Serialize + ?Sized> Display for Name<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.serialize(f)
    }
}

impl ser::SerializeMap for Fields<'_, '_> {
    type Ok = ();
    type Error = Never;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Never> {
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        write!(name, "{}", Name(key)).map_err(|_| Never)?;
        self.begin(&name);
        self.name = name;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.value(value)
    }

    fn end(self) -> Result<(), Never> {
        self.finish()
    }
}

impl ser::SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Never;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Never> {
        self.begin(name);
        self.value(value)
    }

    fn end(self) -> Result<(), Never> {
        self.finish()
    }
}

macro_rules! lists {
    ($($kind:ident: $method:ident),*) => {$(
        impl ser::$kind for Items<'_, '_> {
            type Ok = ();
            type Error = Never;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
                self.item(value)
            }

            fn end(self) -> Result<(), Never> {
                self.finish()
            }
        }
    )*};
}

lists! { SerializeSeq: serialize_element, SerializeTuple: serialize_element, SerializeTupleStruct: serialize_field }

macro_rules! scalars {
    ($($method:ident: $kind:ty),*) => {$(
        fn $method(self, value: $kind) -> Result<(), Never> {
            self.scalar(value == <$kind>::default(), |outline| outline.word(value as u64))
        }
    )*};
}

impl<'w, 'a> ser::Serializer for Walk<'w, 'a> {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = Items<'w, 'a>;
    type SerializeTuple = Items<'w, 'a>;
    type SerializeTupleStruct = Items<'w, 'a>;
    type SerializeTupleVariant = ser::Impossible<(), Never>;
    type SerializeMap = Fields<'w, 'a>;
    type SerializeStruct = Fields<'w, 'a>;
    type SerializeStructVariant = ser::Impossible<(), Never>;

    scalars! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_char: char
    }

    fn serialize_f32(self, value: f32) -> Result<(), Never> {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Never> {
        self.scalar(value == 0.0, |outline| outline.word(value.to_bits()))
    }

    fn serialize_str(self, value: &str) -> Result<(), Never> {
        self.scalar(value.is_empty(), |outline| outline.text(value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Never> {
        self.scalar(value.is_empty(), |outline| outline.text(&String::from_utf8_lossy(value)))
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Never> {
        // Written only where it counts: times and the like are long to write.
        if self.place.values || self.place.always {
            return self.serialize_str(&value.to_string());
        }
        self.scalar(false, |_| {})
    }

    fn serialize_none(self) -> Result<(), Never> {
        self.null()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Never> {
        self.null()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Never> {
        self.null()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Never> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Items<'w, 'a>, Never> {
        Ok(self.list())
    }

    fn serialize_tuple(self, _: usize) -> Result<Items<'w, 'a>, Never> {
        Ok(self.list())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Items<'w, 'a>, Never> {
        Ok(self.list())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Never> {
        Err(Never)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'w, 'a>, Never> {
        Ok(self.map())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'w, 'a>, Never> {
        Ok(self.map())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Never> {
        Err(Never)
    }
}
