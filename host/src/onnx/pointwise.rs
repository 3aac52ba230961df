//! Functions of one activation, as small trees of ONNX operators.
//!
//! LeakyReLU, SiLU, GELU and whatever an exporter writes for them, `x · clip(x + 3, 0, 6) / 6` for instance,
//! are functions of one number. Quantized, such a function is a table of 256 answers.

use super::proto::{self, AttributeProto, NodeProto};

/// Most operators of a function; no activation in use has a tenth of it.
const MOST_NODES: usize = 64;

/// A function of an activation, which may differ by channel.
#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    /// The activation itself.
    Input,
    /// A number, or one a channel.
    Constant(Vec<f32>),
    /// An operator over others.
    Of(Op, Vec<Function>),
}

/// An operator, computed as ONNX says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// `a + b`.
    Add,
    /// `a − b`.
    Sub,
    /// `a · b`.
    Mul,
    /// `a / b`.
    Div,
    /// The smaller one.
    Min,
    /// The larger one.
    Max,
    /// `aᵇ`.
    Pow,
    /// `−a`.
    Neg,
    /// `|a|`.
    Abs,
    /// `eᵃ`.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// `1 / a`.
    Reciprocal,
    /// Error function.
    Erf,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e⁻ᵃ)`.
    Sigmoid,
    /// `ln(1 + eᵃ)`.
    Softplus,
    /// `max(0, a)`.
    Relu,
    /// `a` where it is positive, else `a · b`.
    PRelu,
    /// `a` where it is positive, else `alpha · a`.
    LeakyRelu(f32),
    /// `a` where it is positive, else `alpha · (eᵃ − 1)`.
    Elu(f32),
    /// `gamma` times what Elu gives for `alpha`.
    Selu(f32, f32),
    /// `alpha · a + beta`, clipped to 0..=1.
    HardSigmoid(f32, f32),
    /// 1 where `a > b`, else 0: true and false.
    Greater,
    /// 1 where `a ≥ b`, else 0.
    GreaterOrEqual,
    /// 1 where `a < b`, else 0.
    Less,
    /// 1 where `a ≤ b`, else 0.
    LessOrEqual,
    /// `b` where `a` is true, else `c`.
    Where,
}

/// What a graph is written with.
pub trait Emit {
    /// Adds a node and returns its output's name.
    fn emit(&mut self, op: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>) -> String;
    /// Adds a constant and returns its name.
    fn emit_constant(&mut self, dims: &[usize], values: &[f32]) -> String;
}

impl Function {
    fn number(value: f64) -> Self {
        Self::Constant(vec![value as f32])
    }

    /// A constant of one value a channel, or of one where they are equal.
    pub fn by_channel(mut values: Vec<f32>) -> Self {
        if values.iter().all(|&value| value == values[0]) {
            values.truncate(1);
        }
        Self::Constant(values)
    }

    fn of<const N: usize>(op: Op, arguments: [Function; N]) -> Self {
        Self::Of(op, arguments.into())
    }

    /// ReLU, or ReLU6.
    pub fn clamped(is_six: bool) -> Self {
        let relu = Self::of(Op::Relu, [Self::Input]);
        if is_six { Self::of(Op::Min, [relu, Self::number(6.0)]) } else { relu }
    }

    /// What an ONNX node computes of functions; `None` where it is no such operator.
    ///
    /// * `arguments`: one for each input, in order.
    ///
    /// # Errors
    /// What is wrong with the node.
    pub fn of_node(node: &NodeProto, arguments: Vec<Function>) -> Option<Result<Self, String>> {
        let value = |name, default| proto::float_of(node, name).unwrap_or(default);
        let (op, count) = match node.op_type.as_str() {
            "Add" | "Sum" => (Op::Add, 2),
            "Sub" => (Op::Sub, 2),
            "Mul" => (Op::Mul, 2),
            "Div" => (Op::Div, 2),
            "Min" => (Op::Min, 2),
            "Max" => (Op::Max, 2),
            "Pow" => (Op::Pow, 2),
            "PRelu" => (Op::PRelu, 2),
            "Greater" => (Op::Greater, 2),
            "GreaterOrEqual" => (Op::GreaterOrEqual, 2),
            "Less" => (Op::Less, 2),
            "LessOrEqual" => (Op::LessOrEqual, 2),
            "Where" => (Op::Where, 3),
            "Neg" => (Op::Neg, 1),
            "Abs" => (Op::Abs, 1),
            "Exp" => (Op::Exp, 1),
            "Log" => (Op::Log, 1),
            "Sqrt" => (Op::Sqrt, 1),
            "Reciprocal" => (Op::Reciprocal, 1),
            "Erf" => (Op::Erf, 1),
            "Tanh" => (Op::Tanh, 1),
            "Sigmoid" => (Op::Sigmoid, 1),
            "Softplus" => (Op::Softplus, 1),
            "Relu" => (Op::Relu, 1),
            "LeakyRelu" => (Op::LeakyRelu(value("alpha", 0.01)), 1),
            "Elu" => (Op::Elu(value("alpha", 1.0)), 1),
            "Selu" => (Op::Selu(value("alpha", 1.673_263_2), value("gamma", 1.050_701)), 1),
            "HardSigmoid" => (Op::HardSigmoid(value("alpha", 0.2), value("beta", 0.5)), 1),
            _ => return Self::composed(node, arguments),
        };
        if arguments.len() != count {
            return Some(Err(format!("it has {} inputs, {count} are read", arguments.len())));
        }
        Some(Self::Of(op, arguments).checked())
    }

    /// Operators that are others put together.
    fn composed(node: &NodeProto, arguments: Vec<Function>) -> Option<Result<Self, String>> {
        use Op::{Abs, Add, Div, Erf, Exp, HardSigmoid, Max, Min, Mul, Sigmoid, Softplus, Sub, Tanh};
        let number = Self::number;
        let value = |name, default| f64::from(proto::float_of(node, name).unwrap_or(default));
        let Some(x) = arguments.first().cloned() else { return Some(Err("it has no input".into())) };
        let of = |op, a: &Self, b: Self| Self::of(op, [a.clone(), b]);
        let built = match node.op_type.as_str() {
            "Clip" => {
                let bound = |at: usize, name: &str, open: f32| match arguments.get(at) {
                    Some(bound) => bound.clone(),
                    None => Self::Constant(vec![proto::float_of(node, name).unwrap_or(open)]),
                };
                let low = of(Max, &x, bound(1, "min", f32::MIN));
                return Some(of(Min, &low, bound(2, "max", f32::MAX)).checked());
            }
            "HardSwish" => of(Mul, &x, Self::of(HardSigmoid(1.0 / 6.0, 0.5), [x.clone()])),
            "Swish" => {
                let scaled = of(Mul, &x, number(value("alpha", 1.0)));
                of(Mul, &x, Self::of(Sigmoid, [scaled]))
            }
            "Softsign" => of(Div, &x, of(Add, &Self::of(Abs, [x.clone()]), number(1.0))),
            "Mish" => of(Mul, &x, Self::of(Tanh, [Self::of(Softplus, [x.clone()])])),
            "Celu" => {
                let alpha = value("alpha", 1.0);
                let grown = Self::of(Exp, [of(Div, &x, number(alpha))]);
                let below = of(Mul, &of(Sub, &grown, number(1.0)), number(alpha));
                Self::of(Add, [of(Max, &x, number(0.0)), of(Min, &below, number(0.0))])
            }
            "Gelu" => {
                let is_tanh = proto::attribute_of(node, "approximate").is_some_and(|how| how.s == b"tanh");
                let share = if is_tanh {
                    let cube = of(Mul, &of(Mul, &x, x.clone()), x.clone());
                    let bent = of(Add, &of(Mul, &cube, number(0.044_715)), x.clone());
                    Self::of(Tanh, [of(Mul, &bent, number((2.0 / std::f64::consts::PI).sqrt()))])
                } else {
                    Self::of(Erf, [of(Div, &x, number(std::f64::consts::SQRT_2))])
                };
                of(Mul, &of(Mul, &x, number(0.5)), of(Add, &share, number(1.0)))
            }
            _ => return None,
        };
        if arguments.len() != 1 {
            return Some(Err(format!("it has {} inputs, 1 is read", arguments.len())));
        }
        Some(built.checked())
    }

    fn checked(self) -> Result<Self, String> {
        match self.nodes() {
            count if count > MOST_NODES => {
                Err(format!("a function of {count} operators; {MOST_NODES} are read"))
            }
            _ => Ok(self),
        }
    }

    /// Number of operators.
    pub fn nodes(&self) -> usize {
        match self {
            Self::Of(_, arguments) => 1 + arguments.iter().map(Self::nodes).sum::<usize>(),
            _ => 0,
        }
    }

    /// This function of what `inner` gives.
    pub fn after(&self, inner: &Self) -> Self {
        match self {
            Self::Input => inner.clone(),
            Self::Constant(_) => self.clone(),
            Self::Of(op, arguments) => {
                Self::Of(*op, arguments.iter().map(|argument| argument.after(inner)).collect())
            }
        }
    }

    /// `scale · function + shift`, by channel.
    pub fn scaled(self, scale: &[f64], shift: &[f64]) -> Self {
        let constant = |values: &[f64]| Self::by_channel(values.iter().map(|&value| value as f32).collect());
        let mut scaled = self;
        if scale.iter().any(|&scale| scale != 1.0) {
            scaled = Self::of(Op::Mul, [scaled, constant(scale)]);
        }
        if shift.iter().any(|&shift| shift != 0.0) {
            scaled = Self::of(Op::Add, [scaled, constant(shift)]);
        }
        scaled
    }

    /// Whether it yields true and false, which are no numbers in a file.
    pub fn is_truth(&self) -> bool {
        matches!(self, Self::Of(Op::Greater | Op::GreaterOrEqual | Op::Less | Op::LessOrEqual, _))
    }

    /// Whether it differs by channel.
    pub fn is_per_channel(&self) -> bool {
        match self {
            Self::Input => false,
            Self::Constant(values) => values.len() > 1,
            Self::Of(_, arguments) => arguments.iter().any(Self::is_per_channel),
        }
    }

    /// Its value for an activation of a channel; no number where it is not defined.
    pub fn value(&self, x: f64, channel: usize) -> f64 {
        let (op, arguments) = match self {
            Self::Input => return x,
            Self::Constant(values) => {
                let value = if values.len() == 1 { values.first() } else { values.get(channel) };
                return value.map_or(f64::NAN, |&value| f64::from(value));
            }
            Self::Of(op, arguments) => (op, arguments),
        };
        let at = |index: usize| arguments.get(index).map_or(f64::NAN, |argument| argument.value(x, channel));
        let a = at(0);
        let grown = |alpha: f32| if a > 0.0 { a } else { f64::from(alpha) * a.exp_m1() };
        match *op {
            Op::Add => a + at(1),
            Op::Sub => a - at(1),
            Op::Mul => a * at(1),
            Op::Div => a / at(1),
            Op::Min => a.min(at(1)),
            Op::Max => a.max(at(1)),
            Op::Pow => a.powf(at(1)),
            Op::Neg => -a,
            Op::Abs => a.abs(),
            Op::Exp => a.exp(),
            Op::Log => a.ln(),
            Op::Sqrt => a.sqrt(),
            Op::Reciprocal => 1.0 / a,
            Op::Erf => libm::erf(a),
            Op::Tanh => a.tanh(),
            Op::Sigmoid => 1.0 / (1.0 + (-a).exp()),
            Op::Softplus => a.max(0.0) + (-a.abs()).exp().ln_1p(),
            Op::Relu => a.max(0.0),
            Op::PRelu => {
                if a > 0.0 {
                    a
                } else {
                    a * at(1)
                }
            }
            Op::LeakyRelu(alpha) => {
                if a > 0.0 {
                    a
                } else {
                    a * f64::from(alpha)
                }
            }
            Op::Elu(alpha) => grown(alpha),
            Op::Selu(alpha, gamma) => f64::from(gamma) * grown(alpha),
            Op::Greater => f64::from(a > at(1)),
            Op::GreaterOrEqual => f64::from(a >= at(1)),
            Op::Less => f64::from(a < at(1)),
            Op::LessOrEqual => f64::from(a <= at(1)),
            Op::Where => at(if a == 0.0 { 2 } else { 1 }),
            Op::HardSigmoid(alpha, beta) => (f64::from(alpha) * a + f64::from(beta)).clamp(0.0, 1.0),
        }
    }

    /// Writes it as nodes over `input`; returns the result's name.
    ///
    /// * `dims`: of a constant with one value a channel.
    pub fn write(&self, input: &str, dims: &[usize], graph: &mut impl Emit) -> String {
        let (op, arguments) = match self {
            Self::Input => return input.to_owned(),
            Self::Constant(values) if values.len() == 1 => return graph.emit_constant(&[], values),
            Self::Constant(values) => return graph.emit_constant(dims, values),
            Self::Of(op, arguments) => (op, arguments),
        };
        let inputs = arguments.iter().map(|argument| argument.write(input, dims, graph)).collect();
        let (name, attributes) = op.as_onnx();
        let attributes = attributes.into_iter().map(|(name, value)| proto::float(name, value)).collect();
        graph.emit(name, inputs, attributes)
    }

    /// What it is, for tables: its operators in the order of writing.
    pub fn name(&self) -> String {
        match self {
            Self::Input => "x".into(),
            Self::Constant(values) if values.len() == 1 => values[0].to_string(),
            Self::Constant(_) => "c".into(),
            Self::Of(op, arguments) => {
                let inner: Vec<String> = arguments.iter().map(Self::name).collect();
                format!("{}({})", op.as_onnx().0, inner.join(", "))
            }
        }
    }
}

impl Op {
    /// Operator and attributes.
    fn as_onnx(self) -> (&'static str, Vec<(&'static str, f32)>) {
        let plain = |name| (name, Vec::new());
        match self {
            Op::Add => plain("Add"),
            Op::Sub => plain("Sub"),
            Op::Mul => plain("Mul"),
            Op::Div => plain("Div"),
            Op::Min => plain("Min"),
            Op::Max => plain("Max"),
            Op::Pow => plain("Pow"),
            Op::Neg => plain("Neg"),
            Op::Abs => plain("Abs"),
            Op::Exp => plain("Exp"),
            Op::Log => plain("Log"),
            Op::Sqrt => plain("Sqrt"),
            Op::Reciprocal => plain("Reciprocal"),
            Op::Erf => plain("Erf"),
            Op::Tanh => plain("Tanh"),
            Op::Sigmoid => plain("Sigmoid"),
            Op::Softplus => plain("Softplus"),
            Op::Relu => plain("Relu"),
            Op::PRelu => plain("PRelu"),
            Op::Greater => plain("Greater"),
            Op::GreaterOrEqual => plain("GreaterOrEqual"),
            Op::Less => plain("Less"),
            Op::LessOrEqual => plain("LessOrEqual"),
            Op::Where => plain("Where"),
            Op::LeakyRelu(alpha) => ("LeakyRelu", vec![("alpha", alpha)]),
            Op::Elu(alpha) => ("Elu", vec![("alpha", alpha)]),
            Op::Selu(alpha, gamma) => ("Selu", vec![("alpha", alpha), ("gamma", gamma)]),
            Op::HardSigmoid(alpha, beta) => ("HardSigmoid", vec![("alpha", alpha), ("beta", beta)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(op: &str, attributes: &[(&str, f32)], arguments: Vec<Function>) -> Result<Function, String> {
        let attribute = attributes.iter().map(|&(name, value)| proto::float(name, value)).collect();
        let node = NodeProto { op_type: op.into(), attribute, ..NodeProto::default() };
        Function::of_node(&node, arguments).expect("it is a function")
    }

    /// Values at −2, −0.5, 0, 0.5, 2 as PyTorch 2 gives them.
    #[test]
    fn activations_have_their_known_values() {
        type Known = (&'static str, &'static [(&'static str, f32)], [f64; 5]);
        let known: [Known; 11] = [
            ("LeakyRelu", &[("alpha", 0.1)], [-0.2, -0.05, 0.0, 0.5, 2.0]),
            ("HardSwish", &[], [-0.333_333, -0.208_333, 0.0, 0.291_667, 1.666_667]),
            ("Sigmoid", &[], [0.119_203, 0.377_541, 0.5, 0.622_459, 0.880_797]),
            ("Swish", &[], [-0.238_406, -0.188_770, 0.0, 0.311_230, 1.761_594]),
            ("Gelu", &[], [-0.045_500, -0.154_269, 0.0, 0.345_731, 1.954_500]),
            ("Mish", &[], [-0.252_502, -0.220_743, 0.0, 0.375_245, 1.943_959]),
            ("Elu", &[], [-0.864_665, -0.393_469, 0.0, 0.5, 2.0]),
            ("Selu", &[], [-1.520_166, -0.691_758, 0.0, 0.525_350, 2.101_402]),
            ("Celu", &[("alpha", 2.0)], [-1.264_241, -0.442_398, 0.0, 0.5, 2.0]),
            ("Softsign", &[], [-0.666_667, -0.333_333, 0.0, 0.333_333, 0.666_667]),
            ("Softplus", &[], [0.126_928, 0.474_077, std::f64::consts::LN_2, 0.974_077, 2.126_928]),
        ];
        for (op, attributes, expected) in known {
            let function = of(op, attributes, vec![Function::Input]).unwrap();
            for (x, expected) in [-2.0, -0.5, 0.0, 0.5, 2.0].into_iter().zip(expected) {
                let found = function.value(x, 0);
                assert!((found - expected).abs() < 2e-6, "{op}({x}) = {found}");
            }
        }
    }

    #[test]
    fn a_function_may_differ_by_channel() {
        let slopes = Function::Constant(vec![0.1, 0.2]);
        let function = of("PRelu", &[], vec![Function::Input, slopes]).unwrap();
        assert!(function.is_per_channel());
        assert!((function.value(-1.0, 1) + 0.2).abs() < 1e-7);
        let moved = function.scaled(&[2.0, 2.0], &[0.0, 1.0]);
        assert!((moved.value(-1.0, 1) - 0.6).abs() < 1e-7);
    }

    #[test]
    fn a_tree_that_doubles_is_refused_early() {
        let mut tree = Function::Input;
        let refused = (0..100).find_map(|_| match of("Mul", &[], vec![tree.clone(), tree.clone()]) {
            Ok(larger) => {
                tree = larger;
                None
            }
            Err(problem) => Some(problem),
        });
        assert!(refused.unwrap().contains("64 are read"));
    }
}
