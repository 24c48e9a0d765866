import pytest
from integration_models import Taught, make_taught


@pytest.fixture(scope="session")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
<<<<<<< HEAD
    random = np.random.default_rng(0)
    means = random.normal(size=(3, 4, 4, 1))

    def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.integers(0, 3, count)
        return (means[labels] + random.normal(size=(count, 4, 4, 1))).astype("float32"), labels

    task = Classification(
        arrays(*examples(250), *examples(60), name="tiny"),
        lambda shape, classes: mlp(shape, classes, hidden=(6,)),
        ExpectedAccuracy(),
        batch_size=BATCH,
        dev_size=50,
        chunk_size=20,
        observed_examples=40,
    )
    directory = tmp_path_factory.mktemp("taught") / "teacher"
    teacher, theta = export_strong(directory)
    teaching = Teaching(
        task,
        DynamicBilinear(bias=True),
        SGD(learning_rate=schedule(), momentum=0.9),
        Budget(NUM_STEPS, observe_every=OBSERVE_EVERY),
        teacher,
    )
    dev, train = (
        (task._splits[name].images.numpy(), task._splits[name].labels.numpy())
        for name in ("dev", "train")
    )
    return Taught(task, teaching, theta, tf_l2t.load_teacher(directory, 3), schedule, dev, train)
=======
    return make_taught(tmp_path_factory.mktemp("taught") / "teacher")
>>>>>>> helper-keras
