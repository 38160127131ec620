//! The stack machine. It reads instructions and builds values; it calls nothing.

mod stack;

use std::collections::HashMap;

use super::bytes::{Bytes, long};
use super::error::{Checked, refuse};
use super::opcodes::*;
use super::storage::TensorLayout;
use super::value::{Arena, Id, Node};
use stack::pairs;

/// What a pickle gave: the index of its value, and how many bytes it took.
pub(super) struct Loaded {
    pub root: Id,
    pub length: usize,
}

/// Runs one pickle at the start of `bytes`, adding its values to `arena`.
pub(super) fn load(bytes: &[u8], arena: &mut Arena) -> Checked<Loaded> {
    let mut machine = Machine {
        input: Bytes { bytes, at: 0 },
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        arena,
    };
    let root = machine.run()?;
    Ok(Loaded { root, length: machine.input.at })
}

struct Machine<'a> {
    input: Bytes<'a>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    arena: &'a mut Arena,
}

impl Machine<'_> {
    fn run(&mut self) -> Checked<Id> {
        loop {
            let op = self.input.byte()?;
            match op {
                STOP => return self.pop(),
                MARK => self.marks.push(self.stack.len()),
                PROTO => _ = self.input.byte()?,
                FRAME => _ = self.input.take(8)?,
                POP => self.pop_value_or_mark()?,
                POP_MARK => _ = self.pop_to_mark()?,
                DUP => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                _ if self.constant(op)?
                    || self.container(op)?
                    || self.memo(op)?
                    || self.object(op)? => {}
                _ => {
                    return refuse(
                        "a pickle of tensors",
                        format!("the instruction 0x{op:02x} at byte {}", self.input.at - 1),
                    );
                }
            }
        }
    }

    /// Numbers, texts and bytes.
    fn constant(&mut self, op: u8) -> Checked<bool> {
        let node = match op {
            NONE => Node::None,
            NEWTRUE | NEWFALSE => Node::Bool,
            BININT => Node::Int(i64::from(i32::from_le_bytes(self.input.array()?))),
            BININT1 => Node::Int(i64::from(self.input.byte()?)),
            BININT2 => Node::Int(i64::from(u16::from_le_bytes(self.input.array()?))),
            INT | LONG => self.input.decimal()?,
            LONG1 => {
                let n = usize::from(self.input.byte()?);
                long(self.input.take(n)?)
            }
            LONG4 => {
                let n = self.input.length4()?;
                long(self.input.take(n)?)
            }
            FLOAT => match self.input.line()?.parse() {
                Ok(x) => Node::Float(x),
                Err(_) => return refuse("a number", "other text in a FLOAT instruction"),
            },
            BINFLOAT => Node::Float(f64::from_be_bytes(self.input.array()?)),
            STRING => Node::Text(self.input.line()?.trim_matches(['\'', '"']).to_owned()),
            UNICODE => Node::Text(self.input.line()?.to_owned()),
            SHORT_BINSTRING | SHORT_BINUNICODE => {
                let n = usize::from(self.input.byte()?);
                self.input.text(n)?
            }
            BINSTRING | BINUNICODE => {
                let n = self.input.length4()?;
                self.input.text(n)?
            }
            BINUNICODE8 => {
                let n = self.input.length8()?;
                self.input.text(n)?
            }
            SHORT_BINBYTES => {
                let n = usize::from(self.input.byte()?);
                Node::Bytes(self.input.take(n)?.to_vec())
            }
            BINBYTES => {
                let n = self.input.length4()?;
                Node::Bytes(self.input.take(n)?.to_vec())
            }
            BINBYTES8 | BYTEARRAY8 => {
                let n = self.input.length8()?;
                Node::Bytes(self.input.take(n)?.to_vec())
            }
            _ => return Ok(false),
        };
        self.push(node)?;
        Ok(true)
    }

    /// Lists, tuples, dicts; a set is kept as a list.
    fn container(&mut self, op: u8) -> Checked<bool> {
        match op {
            EMPTY_LIST | EMPTY_SET => self.push(Node::List(Vec::new()))?,
            EMPTY_TUPLE => self.push(Node::Tuple(Vec::new()))?,
            EMPTY_DICT => self.push(Node::Dict(Vec::new()))?,
            TUPLE1 | TUPLE2 | TUPLE3 => {
                let items = self.pop_many(usize::from(op - TUPLE1) + 1)?;
                self.push(Node::Tuple(items))?;
            }
            TUPLE => {
                let items = self.pop_to_mark()?;
                self.push(Node::Tuple(items))?;
            }
            LIST | FROZENSET => {
                let items = self.pop_to_mark()?;
                self.push(Node::List(items))?;
            }
            DICT => {
                let pairs = pairs(&self.pop_to_mark()?)?;
                self.push(Node::Dict(pairs))?;
            }
            APPEND => {
                let item = self.pop()?;
                self.extend_list(&[item])?;
            }
            APPENDS | ADDITEMS => {
                let items = self.pop_to_mark()?;
                self.extend_list(&items)?;
            }
            SETITEM => {
                let items = self.pop_many(2)?;
                self.extend_dict(&items)?;
            }
            SETITEMS => {
                let items = self.pop_to_mark()?;
                self.extend_dict(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn memo(&mut self, op: u8) -> Checked<bool> {
        match op {
            BINPUT | LONG_BINPUT | PUT | MEMOIZE => {
                let key = match op {
                    BINPUT => u64::from(self.input.byte()?),
                    LONG_BINPUT => u64::from(u32::from_le_bytes(self.input.array()?)),
                    PUT => self.input.index()?,
                    _ => self.memo.len() as u64,
                };
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            BINGET | LONG_BINGET | GET => {
                let key = match op {
                    BINGET => u64::from(self.input.byte()?),
                    LONG_BINGET => u64::from(u32::from_le_bytes(self.input.array()?)),
                    _ => self.input.index()?,
                };
                match self.memo.get(&key) {
                    Some(&id) => self.stack.push(id),
                    None => {
                        return refuse("a memo that was written before", format!("number {key}"));
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Classes and calls: recorded by name, except for the few that only wrap tensors and dicts.
    fn object(&mut self, op: u8) -> Checked<bool> {
        match op {
            GLOBAL => {
                let module = self.input.line()?.to_owned();
                let name = format!("{module}.{}", self.input.line()?);
                self.push(Node::Global(name))?;
            }
            STACK_GLOBAL => {
                let parts = self.pop_many(2)?;
                let name = match (self.arena.get(parts[0]), self.arena.get(parts[1])) {
                    (Node::Text(module), Node::Text(name)) => format!("{module}.{name}"),
                    _ => return refuse("the name of a class", "other values"),
                };
                self.push(Node::Global(name))?;
            }
            BINPERSID => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))?;
            }
            REDUCE | NEWOBJ => {
                let parts = self.pop_many(2)?;
                self.reduce(parts[0], parts[1])?;
            }
            NEWOBJ_EX => {
                let parts = self.pop_many(3)?;
                self.push(Node::Object(parts[0]))?;
            }
            // The state of an object. Of dicts (OrderedDict keeps `_metadata` there) and everything
            // else it is not needed.
            BUILD => _ = self.pop()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn reduce(&mut self, class: Id, args: Id) -> Checked<()> {
        let name = if let Node::Global(name) = self.arena.get(class) { name.as_str() } else { "" };
        match name {
            "collections.OrderedDict" => self.push(Node::Dict(Vec::new())),
            "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
                let layout = TensorLayout::from_args(self.arena, args)?;
                self.push(Node::Tensor(layout))
            }
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                match self.arena.get(args) {
                    Node::Tuple(items) if !items.is_empty() => {
                        let tensor = items[0];
                        self.stack.push(tensor);
                        Ok(())
                    }
                    _ => refuse("a parameter around a tensor", self.arena.describe(args)),
                }
            }
            _ => self.push(Node::Object(class)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8]) -> Result<(Arena, Id), String> {
        let mut arena = Arena::default();
        let loaded = load(bytes, &mut arena).map_err(|refusal| refusal.found)?;
        Ok((arena, loaded.root))
    }

    #[test]
    fn numbers_are_those_python_wrote() {
        // pickle.dumps([2**40, -5, 1.5, True, None, "é", b"x"], 2), written out by hand.
        let bytes = b"\x80\x02](\x8a\x06\x00\x00\x00\x00\x00\x01J\xfb\xff\xff\xffG\x3f\xf8\x00\x00\x00\x00\x00\x00\x88NX\x02\x00\x00\x00\xc3\xa9C\x01xe.";
        let (arena, root) = run(bytes).unwrap();
        let Node::List(items) = arena.get(root) else { panic!("no list") };
        let shown: Vec<String> = items.iter().map(|&id| format!("{:?}", arena.get(id))).collect();
        assert_eq!(
            shown,
            [
                "Int(1099511627776)",
                "Int(-5)",
                "Float(1.5)",
                "Bool",
                "None",
                "Text(\"é\")",
                "Bytes([120])"
            ]
        );
    }

    #[test]
    fn a_call_is_recorded_and_not_made() {
        let (arena, root) = run(b"cposix\nsystem\n(S'echo no'\ntR.").unwrap();
        assert_eq!(arena.describe(root), "an object of posix.system");
    }

    #[test]
    fn a_million_nested_tuples_are_only_a_million_values() {
        let mut bytes = vec![EMPTY_TUPLE];
        bytes.extend(std::iter::repeat_n(TUPLE1, 1_000_000));
        bytes.push(STOP);
        assert_eq!(run(&bytes).unwrap().0.nodes.len(), 1_000_001);
    }

    #[test]
    fn doubling_through_the_memo_stays_small() {
        let mut bytes = b")q\x00".to_vec();
        for _ in 0..60 {
            bytes.extend_from_slice(b"h\x00h\x00\x86q\x00");
        }
        bytes.push(STOP);
        assert!(run(&bytes).unwrap().0.nodes.len() < 100);
    }

    #[test]
    fn broken_programs_are_refused() {
        for bytes in [
            &b"."[..],
            b"(",
            b"t.",
            b"\x86.",
            b"h\x05.",
            b"X\xff\xff\xff\xffab.",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
            b"}K\x01(u",
            b"K\x01K\x02a.",
            b"\xee.",
            b"(K\x01d.",
            b"R.",
            b"",
        ] {
            assert!(run(bytes).is_err(), "{bytes:?}");
        }
    }
}
