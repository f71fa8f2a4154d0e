"""Refusals, preambles and missing texts, on what models and people really wrote."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.runtime.conf import screening_lists
from udfs.screening.lists import ScreeningLists
from udfs.screening.phrases import missing_text, preamble, refusal

LISTS = screening_lists()
SAMPLES = Path(__file__).parents[2] / "data" / "screening" / "instructions.tsv"


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("I'm sorry, but I can't help with that.", 1.0),
        ("I’m sorry, but the text is not clear.", 1.0),
        ("Unfortunately, I cannot determine it. Describe the lake.", 0.5),
        ("As an AI assistant I don't have any personal opinions or thoughts about Terminator 2.", 1.0),
        ("As a language model, I am unable to provide current accurate information.", 1.0),
        ("Lo siento, pero no puedo ayudar con eso.", 1.0),
        ("Je suis désolé, mais je ne peux pas répondre.", 1.0),
        ("Извините, но я не могу помочь.", 1.0),
        ("很抱歉，我无法完成这个请求。", 1.0),
        ("申し訳ありませんが、お手伝いできません。", 1.0),
        ("죄송하지만, 도와드릴 수 없습니다.", 1.0),
        ("मुझे खेद है, लेकिन मैं ऐसा नहीं कर सकता।", 1.0),
        ("عذرا، لا أستطيع المساعدة.", 1.0),
        ("Als KI-Sprachmodell kann ich keine Texte sehen.", 1.0),
        ("Como modelo de lenguaje de IA, no puedo ver el texto.", 1.0),
        ("Como uma IA, não posso ajudar.", 1.0),
        ("Non posso aiutarti con questo.", 1.0),
        ("En tant qu'IA, je n'ai pas d'opinion.", 1.0),
        ("Как языковая модель, я не могу этого сделать.", 1.0),
        ("Я, як мовна модель, не маю думок.", 1.0),
        ("Bir yapay zeka dil modeli olarak, bunu yapamam.", 1.0),
        ("एक एआई भाषा मॉडल के रूप में, मैं मदद नहीं कर सकता।", 1.0),
        ("作为一个AI语言模型，我无法回答。", 1.0),
        ("AI言語モデルとして、私にはわかりません。", 1.0),
        ("AI 언어 모델로서, 저는 의견이 없습니다.", 1.0),
        ("Write a letter that begins with “I'm sorry, but I can't come”.", 0.0),
        ("Why do people say they are sorry when they cannot help?", 0.0),
        ("“I'm sorry, but I can't come” is a line of which play?", 0.0),
        ("Write a scene in which a robot speaks as an AI of its dreams.", 0.0),
        ("How does as an airport code differ from a city code?", 0.0),
        ("Describe the language model that Shannon used in 1948.", 0.0),
        ("", 0.0),
    ],
)
def test_refusal(text, share):
    assert refusal(text, LISTS.refusals).share == share


@pytest.mark.parametrize(
    "text",
    [
        "As an AI ethics researcher, explain why models refuse.",
        "As a language model, how would you describe yourself?",
        "I'm an AI researcher from Spain. Where can I publish?",
        "I'm unable to sleep. What can I do?",
        "I won't be able to attend the meeting. Write an email.",
        "I can't create a new partition on my disk. What is wrong?",
        "¿Como una IA aprende a jugar al ajedrez?",
        "No puedo ayudar a mi hijo con las matemáticas. ¿Qué hago?",
        "No puedo generar la factura electrónica. ¿Por qué?",
        "Com a model de llenguatge, què fa GPT?",
        "Como uma IA aprende a jogar xadrez?",
        "Não posso ajudar meu filho com a matemática. O que faço?",
        "En tant qu'IA, comment fonctionnes-tu ?",
        "Je ne suis pas en mesure de payer mon loyer. Que faire ?",
        "Come modello linguistico, che cosa sa fare GPT?",
        "Ca model de limbaj, cum funcționează GPT?",
        "Als KI-Forscherin: wie bewertest du Sprachmodelle?",
        "Als Sprachmodell der Informatik: was ist UML?",
        "Als taalmodel: hoe werkt GPT?",
        "Som AI-forskare, förklara vad en språkmodell är.",
        "Som en AI-forskare, förklara vad en språkmodell är.",
        "Jako model językowy GPT przewiduje słowa; wyjaśnij jak.",
        "Как ИИ меняет медицину?",
        "Опишите, как ИИ меняет медицину.",
        "Как языковая модель предсказывает следующее слово?",
        "Я не могу помочь ребёнку с математикой. Что делать?",
        "Як мовна модель передбачає слово?",
        "Bir yapay zeka modelinin nasıl eğitildiğini açıklayın.",
        "Bir dil modeli olarak GPT nasıl çalışır?",
        "Sebagai model bahasa, bagaimana GPT bekerja?",
        "Với tư cách là một mô hình ngôn ngữ, GPT hoạt động thế nào?",
        "به عنوان یک مدل زبانی، GPT چگونه کار می‌کند؟",
        "एक एआई मॉडल कैसे काम करता है?",
        "एक भाषा मॉडल के रूप में GPT कैसे काम करता है?",
        "作为一个AI研究者，请解释语言模型。",
        "对不起，我爱你这首歌是谁唱的？",
        "GPTは言語モデルとしてどのように働きますか？",
        "GPT가 AI 언어 모델로서 갖는 한계는 무엇인가요?",
    ],
)
def test_what_is_about_models_or_asks_for_help_declines_nothing(text):
    assert refusal(text, LISTS.refusals).phrase is None


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Sure, here is the instruction: Describe the lake.", 0.5, 0.8),
        ("Sure! Here's a possible prompt for this text: Describe the lake.", 0.6, 0.9),
        ("Here is an instruction that fits: Describe the lake.", 0.5, 0.8),
        ("The instruction could be: Who was Ada Lovelace?", 0.4, 0.7),
        ("Instruction: Describe the lake.", 0.3, 0.5),
        ("> What kind of instruction could this be the answer to?", 0.4, 0.6),
        ("Claro, aquí tienes: Describe el lago.", 0.4, 0.7),
        ("Anweisung: Beschreibe den See.", 0.2, 0.5),
        ("指令：描述这个湖。", 0.2, 0.5),
        ("Here is my problem: my cat does not eat. What can I do?", 0, 0),
        ("Is it sure that the lake dries up?", 0, 0),
        ("Instructions for a washing machine: how are they written?", 0, 0),
        ("Certainly", 0, 0),
        ("", 0, 0),
    ],
)
def test_preamble(text, least, most):
    assert least <= preamble(text, LISTS.preambles).share <= most


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("What did the text above say of bees?", "the text above"),
        ("What does the excerpt say of bees?", "does the excerpt"),
        ("Explain the main idea of the passage.", "of the passage"),
        ("What is this article about?", "this article"),
        ("According to the author, why did the bees leave?", "according to the author"),
        ("Answer these questions in the given text.", "the given"),
        ("Rewrite the following sentence to be more professional.", "the following"),
        ("Who is the speaker in the passage, and what does she want?", "in the passage"),
        ("What evidence does the author give?", "does the author"),
        ('Rewrite the following sentence: "It\'s bad."', "the following"),
        ("Rewrite the following sentence: My boss does not like my new idea.", None),
        ("Sort the following numbers: 3, 9, 2, 14.", None),
        ('Classify the following review: "The film was far too long and I fell asleep."', None),
        ('Write a text with this title: "According to the author".', None),
        ('Describe "The Text Above".', None),
        ("What happened in the following years?", None),
        ("What does the word mean in the text of the treaty of Nanking?", None),
        ("What is said in the article by Ada Lovelace on the Analytical Engine?", None),
        ("Write an article about bees.", None),
        ("Write a short text with this title.", None),
        ("What is the given name of Queen Nefertiti?", None),
        ("Who was the author of Tirant lo Blanc?", None),
        ("Describe the above-ground pipelines of Alaska.", None),
        ("", None),
    ],
)
def test_missing_text(text, phrase):
    found = missing_text(text, LISTS)
    assert found.phrase == phrase
    assert (found.share > 0) == (phrase is not None)


def test_share_counts_sentences():
    assert missing_text("Read the passage. Who was Ada? Where did she live? What was her job?", LISTS).share == 1 / 4


def test_real_instructions_hold_none_of_them():
    """Of those of chat users and of Vicuna's questions, which stand alone, hardly any is taken for what it is not."""
    with SAMPLES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    alone = [row["text"] for row in rows if row["origin"] in ("vicuna", "open-assistant")]
    assert len(alone) > 150
    assert [text for text in alone if refusal(text, LISTS.refusals).share] == []
    assert [text for text in alone if preamble(text, LISTS.preambles).share] == []
    assert len([text for text in alone if missing_text(text, LISTS).share]) <= 1


@given(st.text(max_size=80))
def test_shares_are_shares_and_name_their_phrase(text):
    for found in (
        refusal(text, LISTS.refusals),
        preamble(text, LISTS.preambles),
        missing_text(text, LISTS),
    ):
        assert 0 <= found.share <= 1
        assert (found.share > 0) == (found.phrase is not None)


@given(st.sampled_from(LISTS.refusals), st.sampled_from(LISTS.preambles), st.sampled_from(LISTS.missing_texts))
def test_every_phrase_is_found_as_it_is_written(declined, announced, missing):
    assert refusal(f"{declined} it.", LISTS.refusals).share == 1
    assert preamble(f"{announced} x", LISTS.preambles).share > 0
    assert missing_text(f"Explain {missing} well.", LISTS).share == 1


def test_without_lists_nothing_is_found():
    assert missing_text("Read the passage above.", ScreeningLists()).share == 0
    assert refusal("I'm sorry, but no.", ()).share == 0
    assert preamble("Sure, here is it", ()).share == 0
