//! What a pickle holds, as a tree of plain values in one array.

use super::storage::TensorLayout;

/// Index of a value in its [`Arena`].
pub(super) type Id = u32;

/// One value; children are indices, so that deep or shared structures cost neither stack nor
/// copies.
#[derive(Clone, Debug)]
pub(super) enum Node {
    None,
    /// Its value is not needed anywhere, nor that of a very large integer.
    Bool,
    Int(i64),
    BigInt,
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, by name only.
    Global(String),
    /// Something this class or function would have made. It is never made.
    Object(Id),
    /// Reference to the bytes of a tensor.
    Persistent(Id),
    Tensor(TensorLayout),
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pub nodes: Vec<Node>,
}

impl Arena {
    pub fn get(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    /// In words, for messages.
    pub fn describe(&self, id: Id) -> String {
        match self.get(id) {
            Node::None => "None".into(),
            Node::Bool => "a bool".into(),
            Node::Int(n) => format!("the integer {n}"),
            Node::BigInt => "a very large integer".into(),
            Node::Float(x) => format!("the number {x}"),
            Node::Text(text) => {
                format!("the text \"{}\"", text.chars().take(40).collect::<String>())
            }
            Node::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Node::List(items) => format!("a list of {}", items.len()),
            Node::Tuple(items) => format!("a tuple of {}", items.len()),
            Node::Dict(items) => format!("a dict of {}", items.len()),
            Node::Global(name) => format!("the name {name}"),
            Node::Object(class) => match self.get(*class) {
                Node::Global(name) => format!("an object of {name}"),
                _ => "an object".into(),
            },
            Node::Persistent(_) => "a storage".into(),
            Node::Tensor(layout) => format!("a tensor {:?}", layout.shape),
        }
    }
}

/// One value of a file, to be looked into: `file.root().key("optimizer")`.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub(super) arena: &'a Arena,
    pub(super) id: Id,
}

impl<'a> Value<'a> {
    fn node(self) -> &'a Node {
        self.arena.get(self.id)
    }

    fn at(self, id: Id) -> Self {
        Self { id, ..self }
    }

    /// The entry of a dict under a text key.
    #[must_use]
    pub fn key(self, name: &str) -> Option<Self> {
        self.entries().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
    }

    /// The entries of a dict; none when it is not a dict.
    pub fn entries(self) -> impl Iterator<Item = (Self, Self)> + 'a {
        let pairs: &'a [(Id, Id)] = if let Node::Dict(pairs) = self.node() { pairs } else { &[] };
        pairs.iter().map(move |&(key, value)| (self.at(key), self.at(value)))
    }

    /// The items of a list or tuple; none when it is neither.
    pub fn items(self) -> impl Iterator<Item = Self> + 'a {
        let items: &'a [Id] =
            if let Node::List(items) | Node::Tuple(items) = self.node() { items } else { &[] };
        items.iter().map(move |&id| self.at(id))
    }

    /// The text, when it is one.
    #[must_use]
    pub fn as_text(self) -> Option<&'a str> {
        if let Node::Text(text) = self.node() { Some(text) } else { None }
    }

    /// The integer, when it is one.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        if let Node::Int(n) = self.node() { Some(*n) } else { None }
    }

    /// The number, when it is one.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        match self.node() {
            Node::Float(x) => Some(*x),
            Node::Int(n) => Some(*n as f64),
            _ => None,
        }
    }

    /// Whether it is a tensor.
    #[must_use]
    pub fn is_tensor(self) -> bool {
        matches!(self.node(), Node::Tensor(_))
    }

    /// Whether it is a dict.
    #[must_use]
    pub fn is_dict(self) -> bool {
        matches!(self.node(), Node::Dict(_))
    }

    /// What it is, in words.
    #[must_use]
    pub fn describe(self) -> String {
        self.arena.describe(self.id)
    }

    pub(super) fn layout(self) -> Option<&'a TensorLayout> {
        if let Node::Tensor(layout) = self.node() { Some(layout) } else { None }
    }
}
