//! Every shader is valid portable WGSL, and the table says what the text says.

use naga::{
    AddressSpace, Module, StorageAccess, TypeInner,
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};
use plan::Stage;
use shaders::{Access, Binding, Entry, Shader, shader};

#[test]
fn every_shader_validates_with_no_capability() {
    for stage in Stage::ALL {
        parse(shader(stage).source).unwrap_or_else(|e| panic!("{}: {e}", stage.stem()));
    }
}

#[test]
fn the_table_equals_the_text() {
    for stage in Stage::ALL {
        let shader = shader(stage);
        assert_eq!(shader.stage, stage);
        let (module, _) = parse(shader.source).expect("validated above");
        assert_eq!(reflect(&module), stated(&shader), "{}", stage.stem());
    }
}

#[test]
fn limits_of_every_webgpu_device_suffice() {
    for stage in Stage::ALL {
        let shader = shader(stage);
        let (module, _) = parse(shader.source).expect("validated above");
        let workgroup: u32 = module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == AddressSpace::WorkGroup)
            .map(|(_, v)| size(&module, v.ty))
            .sum();
        assert!(workgroup <= 16_384, "{}: {workgroup} bytes of workgroup memory", stage.stem());
        let storage = shader.bindings.iter().filter(|b| b.access != Access::Uniform).count();
        assert!(storage <= 8, "{}: {storage} storage buffers", stage.stem());
        for entry in [shader.direct, shader.tiled] {
            assert!(entry.invocations <= 256, "{}: {entry:?}", stage.stem());
        }
    }
}

#[test]
fn a_shader_that_differs_from_the_table_is_caught() {
    let shader = shader(Stage::Gemm);
    for (text, planted) in [
        ("var<storage, read> gelu", "var<storage, read_write> gelu"),
        ("@binding(5)", "@binding(9)"),
        ("    outputs: u32,\n", "    outputs: u32,\n    other: u32,\n"),
        ("@workgroup_size(128)", "@workgroup_size(64)"),
        ("override EPILOGUE", "override OTHER: u32 = 0u; override EPILOGUE"),
    ] {
        let source = shader.source.replace(text, planted);
        assert_ne!(source, shader.source, "{text} is not in the text");
        let (module, _) = parse(&source).expect("still valid");
        assert_ne!(reflect(&module), stated(&shader), "{planted}");
    }
    let feature = format!("enable f16;\n{}\nfn half(x: f32) -> f16 {{ return f16(x); }}", shader.source);
    assert!(parse(&feature).is_err(), "f16 passes as portable");
}

#[derive(Debug, PartialEq)]
struct Interface {
    params: Vec<(String, u32)>,
    bindings: Vec<(String, Access)>,
    variants: Vec<String>,
    entries: Vec<(String, u32)>,
}

fn stated(shader: &Shader) -> Interface {
    let mut entries = vec![named(shader.direct), named(shader.tiled)];
    entries.dedup();
    Interface {
        params: shader.params.iter().map(|(name, words)| ((*name).to_owned(), *words)).collect(),
        bindings: shader
            .bindings
            .iter()
            .map(|Binding { name, access }| ((*name).to_owned(), *access))
            .collect(),
        variants: shader.variant.iter().map(|v| v.name.to_owned()).collect(),
        entries,
    }
}

fn named(entry: Entry) -> (String, u32) {
    (entry.name.to_owned(), entry.invocations)
}

fn reflect(module: &Module) -> Interface {
    let mut bindings = Vec::new();
    let mut params = Vec::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = variable.binding else { continue };
        assert_eq!(binding.group, 0);
        let access = match variable.space {
            AddressSpace::Uniform => Access::Uniform,
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Access::Write,
            AddressSpace::Storage { .. } => Access::Read,
            space => panic!("{:?} in {space:?}", variable.name),
        };
        if access == Access::Uniform {
            params = fields(module, variable.ty);
        }
        bindings.push((binding.binding, (variable.name.clone().expect("has a name"), access)));
    }
    bindings.sort_by_key(|(index, _)| *index);
    let bindings = bindings.into_iter().enumerate().map(|(expected, (index, rest))| {
        if expected as u32 == index { rest } else { (format!("{} at {index}", rest.0), rest.1) }
    });
    let entry = |e: &naga::EntryPoint| {
        assert_eq!(e.workgroup_size[1..], [1, 1], "{}", e.name);
        (e.name.clone(), e.workgroup_size[0])
    };
    Interface {
        params,
        bindings: bindings.collect(),
        variants: module.overrides.iter().map(|(_, o)| o.name.clone().expect("has a name")).collect(),
        entries: module.entry_points.iter().map(entry).collect(),
    }
}

/// Fields that follow each other without padding, in words.
fn fields(module: &Module, ty: naga::Handle<naga::Type>) -> Vec<(String, u32)> {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else { panic!("params is no struct") };
    let mut end = 0;
    let field = |member: &naga::StructMember| {
        assert_eq!(member.offset, end, "padding before {:?}", member.name);
        let bytes = size(module, member.ty);
        end += bytes;
        (member.name.clone().expect("has a name"), bytes / 4)
    };
    members.iter().map(field).collect()
}

fn size(module: &Module, ty: naga::Handle<naga::Type>) -> u32 {
    module.types[ty].inner.size(module.to_ctx())
}

fn parse(source: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|e| e.emit_to_string(source))?;
    Ok((module, info))
}
